import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DEFAULT_CLASSES, PUBLIC_BIND_CONSENT } from '@berth/domain';
import { describe, expect, it, onTestFinished } from 'vitest';
import { toWorkerConfig } from './config.js';

const writeClasses = (content: string): string => {
  const folder = mkdtempSync(join(tmpdir(), 'berth-config-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  writeFileSync(join(folder, 'classes.json'), content);
  return join(folder, 'classes.json');
};

describe('the configuration', () => {
  it('needs nothing', () => {
    const config = toWorkerConfig({});
    expect(config).toMatchObject({ prefix: 'berth', port: 8080, host: '127.0.0.1', cpus: undefined, node: undefined });
    expect(config.classes).toBe(DEFAULT_CLASSES);
    expect(config.worker).not.toBe(toWorkerConfig({}).worker);
  });

  it('takes an empty variable for one that is not set', () => {
    expect(toWorkerConfig({ BERTH_CPUS: '', BERTH_NODE: '', DOCKER_HOST: '' })).toMatchObject({
      cpus: undefined,
      node: undefined,
      dockerHost: undefined,
    });
  });

  it('asks everybody else for a key, unless it is told otherwise in so many words', () => {
    const open = { BERTH_WORKER_HOST: '0.0.0.0' };
    expect(toWorkerConfig(open)).toMatchObject({ host: '0.0.0.0', openWithoutKeys: false });
    expect(() => toWorkerConfig({ BERTH_ALLOW_PUBLIC_BIND: 'yes' })).toThrow(/BERTH_ALLOW_PUBLIC_BIND/);
    const told = toWorkerConfig({ ...open, BERTH_ALLOW_PUBLIC_BIND: PUBLIC_BIND_CONSENT });
    expect(told).toMatchObject({ host: '0.0.0.0', loopbackOnly: false, openWithoutKeys: true });
    expect(toWorkerConfig({}).loopbackOnly).toBe(true);
  });

  it('kills its containers when it stops only where it is told so', () => {
    expect(toWorkerConfig({}).kill).toBe(false);
    expect(toWorkerConfig({}, ['--kill']).kill).toBe(true);
  });

  it('knows no other argument', () => {
    expect(() => toWorkerConfig({ BERTH_CPUS: 'x' }, ['--kill', '--kil', 'kill'])).toThrow(
      /^The configuration is wrong: BERTH_CPUS: .*; --kil: the only argument is --kill; kill: the only argument is --kill$/,
    );
  });

  it('shares a folder with the reaper where it is given one', () => {
    expect(toWorkerConfig({}).runDir).toBeUndefined();
    expect(toWorkerConfig({ BERTH_RUN_DIR: '' }).runDir).toBeUndefined();
    expect(toWorkerConfig({ BERTH_RUN_DIR: '/run/berth' }).runDir).toBe('/run/berth');
  });

  it('knows where it is and what it is called', () => {
    expect(toWorkerConfig({})).toMatchObject({
      labels: {},
      region: 'default',
      datacenter: 'default',
      heartbeatMs: 5_000,
    });
    const told = { BERTH_LABELS: 'disk=ssd, zone=a/b ,', BERTH_REGION: 'eu', BERTH_DATACENTER: 'fra 1' };
    expect(toWorkerConfig(told)).toMatchObject({
      labels: { disk: 'ssd', zone: 'a/b' },
      region: 'eu',
      datacenter: 'fra 1',
    });
    expect(() => toWorkerConfig({ BERTH_LABELS: 'fast', BERTH_REGION: 'a\u0000' })).toThrow(
      /BERTH_REGION: must be .*; BERTH_LABELS: fast: must be name=value/,
    );
  });

  it("takes the workload runner's names, and its own before them", () => {
    const theirs = {
      EXECUTOR_IP: '10.0.0.7',
      EXECUTOR_REGION: 'us-east-1',
      EXECUTOR_DATACENTER: 'dc1',
      REDIS_HOST: 'redis',
      REDIS_PORT: '6380',
      REDIS_DB: '2',
      REDIS_PASSWORD: 'p',
      HEARTBEAT_INTERVAL: '2',
    };
    expect(toWorkerConfig(theirs)).toMatchObject({
      node: '10.0.0.7',
      region: 'us-east-1',
      datacenter: 'dc1',
      redisUrl: 'redis://:p@redis:6380/2',
      heartbeatMs: 2_000,
    });
    const ours = { BERTH_NODE: 'n', BERTH_REGION: 'r', BERTH_DATACENTER: 'd', REDIS_URL: 'redis://other' };
    expect(toWorkerConfig({ ...theirs, ...ours })).toMatchObject({
      node: 'n',
      region: 'r',
      datacenter: 'd',
      redisUrl: 'redis://other',
    });
    expect(toWorkerConfig({ HEARTBEAT_INTERVAL: '30' }).heartbeatMs).toBe(10_000);
  });

  it('may be told of GPUs that there are only on paper', () => {
    const gpu = { index: 0, uuid: 'GPU-1', name: 'Fake', memory_mb: 100 };
    expect(toWorkerConfig({}).fakeGpus).toBeUndefined();
    expect(toWorkerConfig({ BERTH_GPUS: '[]' }).fakeGpus).toEqual([]);
    expect(toWorkerConfig({ BERTH_GPUS: JSON.stringify([gpu]) }).fakeGpus).toEqual([gpu]);
    expect(() => toWorkerConfig({ BERTH_GPUS: '[{}]' })).toThrow(/BERTH_GPUS: 0\.index: /);
    expect(() => toWorkerConfig({ BERTH_GPUS: '/no/such/file' })).toThrow(/BERTH_GPUS: ENOENT/);
  });

  it('reads classes from a file', () => {
    const path = writeClasses('[{"name":"tiny","max_cpus":1,"max_memory_mb":64,"profile":"strict"}]');
    const limits = { max_cpus: 1, max_memory_mb: 64, max_gpus: 0, priority_across_users: false };
    const tiny = { name: 'tiny', ...limits, profile: 'strict' };
    expect(toWorkerConfig({ BERTH_CLASSES_FILE: path }).classes).toEqual([tiny]);
  });

  it('says everything that is wrong at once', () => {
    const BERTH_CLASSES_FILE = writeClasses('[{"name":"Tiny","max_cpus":0,"max_memory_mb":64}]');
    const wrong = { BERTH_CPUS: 'many', BERTH_WORKER_PORT: '70000', BERTH_LOG_LEVEL: 'loud', BERTH_CLASSES_FILE };
    expect(() => toWorkerConfig(wrong)).toThrow(
      /^The configuration is wrong: BERTH_CPUS: .*; BERTH_WORKER_PORT: .*; BERTH_LOG_LEVEL: .*; BERTH_CLASSES_FILE: 0\.name: .*; BERTH_CLASSES_FILE: 0\.max_cpus: /,
    );
  });

  it.each([
    ['no such file', () => '/no/such/classes.json'],
    ['no JSON', () => writeClasses('{')],
    ['no classes', () => writeClasses('[]')],
  ])('names the classes file: %s', (_what, toPath) => {
    expect(() => toWorkerConfig({ BERTH_CLASSES_FILE: toPath() })).toThrow(
      /^The configuration is wrong: BERTH_CLASSES_FILE: /,
    );
  });
});
