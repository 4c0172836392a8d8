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

  it('opens its port to others only when it is told so in so many words', () => {
    const open = { BERTH_WORKER_HOST: '0.0.0.0' };
    expect(() => toWorkerConfig(open)).toThrow(/BERTH_WORKER_HOST is not a loopback address/);
    expect(toWorkerConfig({ ...open, BERTH_WORKER_PORT: '0' }).port).toBe(0);
    const told = toWorkerConfig({ ...open, BERTH_ALLOW_PUBLIC_BIND: PUBLIC_BIND_CONSENT });
    expect(told).toMatchObject({ host: '0.0.0.0', loopbackOnly: false });
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

  it('reads classes from a file', () => {
    const path = writeClasses('[{"name":"tiny","max_cpus":1,"max_memory_mb":64,"profile":"strict"}]');
    const tiny = { name: 'tiny', max_cpus: 1, max_memory_mb: 64, max_gpus: 0, profile: 'strict' };
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
