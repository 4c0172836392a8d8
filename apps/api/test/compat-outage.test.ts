import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { openTestApi, PROMPT_MS, until } from './open-test-api.js';

const SAMPLE = { docker_image: 'busybox:stable', command: ['true'], cpu_cores: 1, memory_gb: 1 };
const ID = '0198a3b2-0000-7000-8000-000000000000';

/** A broker of this test's own, which it kills. */
const startRedis = async (): Promise<{ socket: string; redis: ChildProcess }> => {
  const folder = mkdtempSync(join(tmpdir(), 'berth-compat-'));
  const socket = join(folder, 'redis.sock');
  const redis = spawn('redis-server', ['--port', '0', '--unixsocket', socket, '--dir', folder, '--save', ''], {
    stdio: 'ignore',
  });
  onTestFinished(async () => {
    redis.kill('SIGKILL');
    if (redis.exitCode === null && redis.signalCode === null) await once(redis, 'exit');
    rmSync(folder, { recursive: true, force: true });
  });
  await until('Redis', () => existsSync(socket));
  return { socket, redis };
};

describe('the kept formats without a broker', () => {
  it('say so with 503 in their own shape, in time, and claim nothing', async () => {
    const { socket, redis } = await startRedis();
    const api = await openTestApi('compat-outage', { redisUrl: socket });
    onTestFinished(api.end);
    const ended = once(redis, 'exit');
    redis.kill('SIGKILL');
    await ended;
    const requests: [string, string, object?][] = [
      ['POST', '/jobs', { command: 'true' }],
      ['POST', '/jobs', SAMPLE],
      ['GET', '/jobs'],
      ['GET', '/jobs?status_filter=failed'],
      ['GET', `/jobs/${ID}`],
      ['DELETE', `/jobs/${ID}`],
      ['GET', '/executors'],
      ['GET', '/stats'],
      ['POST', '/schedule'],
      ['POST', '/cleanup'],
    ];
    for (const [method, path, body] of requests) {
      const began = performance.now();
      const reply = await api.send(method, path, body ? { body } : {});
      expect([method, path, reply.status, reply.body, reply.headers['retry-after']]).toEqual([
        method,
        path,
        503,
        { detail: 'Redis does not answer. Try again in a few seconds.' },
        '2',
      ]);
      expect(performance.now() - began).toBeLessThan(PROMPT_MS);
    }
    for (const [method, path] of [
      ['GET', '/download/1'],
      ['GET', '/download_partial/1'],
      ['POST', '/terminate/1'],
      ['POST', '/upload'],
    ] as const) {
      const reply = await api.send(method, path);
      const message = 'Redis does not answer. Try again in a few seconds.';
      expect([path, reply.status, reply.body]).toEqual([path, 503, { id: 0, status: 'Unknown', message }]);
    }
    const health = await api.send('GET', '/health');
    expect([health.status, health.body.status]).toEqual([503, 'unhealthy']);
  });
});
