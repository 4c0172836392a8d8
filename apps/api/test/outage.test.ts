import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openRedis } from '@berth/store';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  beginEvents,
  openTestApi,
  PROMPT_MS,
  settleJob,
  startJob,
  type TestApi,
  until,
  writeLog,
} from './open-test-api.js';

/** A Redis of this file's own, to be killed and frozen. */
const folder = mkdtempSync(join(tmpdir(), 'berth-outage-'));
const socket = join(folder, 'redis.sock');
let redis: ChildProcess;

const startRedis = async (): Promise<void> => {
  const args = [
    '--port',
    '0',
    '--unixsocket',
    socket,
    '--dir',
    folder,
    '--appendonly',
    'yes',
    '--appendfsync',
    'always',
  ];
  redis = spawn('redis-server', args, { stdio: 'ignore' });
  await until('Redis', async () => {
    const probe = openRedis(socket, 'request');
    probe.on('error', () => {});
    try {
      await once(probe, 'ready', { signal: AbortSignal.timeout(500) });
      return true;
    } catch {
      return false;
    } finally {
      probe.disconnect();
    }
  });
};

const killRedis = async (): Promise<void> => {
  const ended = once(redis, 'exit');
  redis.kill('SIGKILL');
  await ended;
};

let api: TestApi;
beforeAll(async () => {
  await startRedis();
  api = await openTestApi('outage', { redisUrl: socket });
});
afterAll(async () => {
  await api.close();
  await killRedis();
  rmSync(folder, { recursive: true, force: true });
});

const ROUTES: [string, string, object?][] = [
  ['POST', '/v1/jobs', { command: 'true' }],
  ['POST', '/v1/jobs:batch', { jobs: [{ command: 'true' }, { command: 'true' }] }],
  ['GET', '/v1/jobs'],
  ['GET', '/v1/jobs/{id}'],
  ['GET', '/v1/jobs/{id}?wait=30'],
  ['POST', '/v1/jobs/{id}/cancel'],
  ['GET', '/v1/jobs/{id}/logs'],
  ['GET', '/v1/jobs/{id}/logs?follow=true'],
  ['GET', '/v1/jobs/{id}/events'],
  ['GET', '/v1/nodes'],
  ['GET', '/v1/stats'],
  ['GET', '/metrics'],
];

const expectUnavailable = async (job_id: string): Promise<void> => {
  const asked = ROUTES.map(async ([method, path, body]) => {
    const began = performance.now();
    const reply = await api.send(method, path.replace('{id}', job_id), body ? { body } : {});
    return {
      path,
      status: reply.status,
      code: reply.body?.code,
      wait: reply.headers['retry-after'],
      took: performance.now() - began,
    };
  });
  for (const { path, status, code, wait, took } of await Promise.all(asked)) {
    expect({ path, status, code, wait }).toEqual({ path, status: 503, code: 'unavailable', wait: '2' });
    expect(took, path).toBeLessThan(PROMPT_MS);
  }
  const health = await api.send('GET', '/health');
  expect(health.status).toBe(503);
  expect(health.body).toMatchObject({ status: 'unhealthy', redis: expect.stringMatching(/does not answer/) });
  expect((await api.send('GET', '/ready')).status).toBe(503);
};

const expectRecovery = async (): Promise<void> => {
  await until('the API to recover', async () => (await api.send('GET', '/ready')).status === 200);
  expect((await api.send('POST', '/v1/jobs', { body: { command: 'true' } })).status).toBe(201);
};

describe('row 93: while Redis is away', () => {
  it.each([1, 2])(
    'every route says 503 within 2 s when it is killed, and all is well when it is back (%i)',
    async () => {
      const job_id = await api.submit();
      await killRedis();
      await expectUnavailable(job_id);
      expect((await api.send('GET', '/openapi.json')).status).toBe(200);
      await startRedis();
      await expectRecovery();
      expect((await api.send('GET', `/v1/jobs/${job_id}`)).body.state).toBe('pending');
    },
  );

  it('every route says 503 within 2 s when it is frozen', async () => {
    const job_id = await api.submit();
    redis.kill('SIGSTOP');
    await expectUnavailable(job_id);
    redis.kill('SIGCONT');
    await expectRecovery();
  });

  it('waits and streams that were open before go on afterwards', async () => {
    const job_id = await api.submit();
    const claim = await startJob(api.store, job_id);
    const early = { stream: 'stdout' as const, attempt: 1, bytes: Buffer.from('early\n') };
    await writeLog(api.store, job_id, [early]);
    const { waiters } = api.context;
    const { waitForEnd } = waiters;
    let waits = 0;
    waiters.waitForEnd = (...args) => {
      waits += 1;
      return waitForEnd(...args);
    };
    const waiting = api.send('GET', `/v1/jobs/${job_id}?wait=60`);
    await until('the wait to begin', () => waits === 1);
    const events = await beginEvents(`${api.url}/v1/jobs/${job_id}/events`);
    const logs = await beginEvents(`${api.url}/v1/jobs/${job_id}/logs`);
    expect(logs.first.data.text).toBe('early\n');
    await killRedis();
    await startRedis();
    await until('the API to recover', async () => (await api.send('GET', '/ready')).status === 200);
    await writeLog(api.store, job_id, [{ ...early, bytes: Buffer.from('late\n') }]);
    await settleJob(api.store, claim);
    expect((await waiting).body).toMatchObject({ state: 'completed', stdout: 'early\nlate\n' });
    expect((await events.rest).at(-1)?.data).toMatchObject({ state: 'completed' });
    expect((await logs.rest).map(({ event, data }) => data.text ?? event)).toEqual(['late\n', 'end']);
  });
});
