import { openRedis } from '@berth/store';
import { describe, expect, it, onTestFinished } from 'vitest';
import { expectProblem, PROMPT_MS, startJob, type TestApi, until } from './open-test-api.js';
import { openOwn } from './own-redis.js';

const WORKLOAD = { docker_image: 'busybox:stable', command: ['true'], cpu_cores: 1, memory_gb: 1 };

/** A submission in each format, and a cancel: all that writes. Each must say 503 in time, with the broker's own word for it. */
const expectRefused = async (api: TestApi, job_id: string, code: string): Promise<void> => {
  const words = expect.stringContaining(`Redis answers ${code}: `);
  const timed = async (path: string, body?: object) => {
    const began = performance.now();
    const reply = await api.send('POST', path, body ? { body } : {});
    expect(performance.now() - began).toBeLessThan(PROMPT_MS);
    expect([path, reply.status, reply.headers['retry-after']]).toEqual([path, 503, '2']);
    return reply;
  };
  for (const [path, body] of [
    ['/v1/jobs', { command: 'true' }],
    ['/v1/jobs:batch', { jobs: [{ command: 'true' }] }],
    [`/v1/jobs/${job_id}/cancel`, undefined],
  ] as const) {
    const reply = await timed(path, body);
    expectProblem(reply);
    expect(reply.body).toMatchObject({ code: 'unavailable', detail: words });
  }
  for (const body of [{ command: 'true' }, WORKLOAD])
    expect((await timed('/jobs', body)).body).toEqual({ detail: words });
};

const expectWell = async (api: TestApi, running: string, submitted: number) => {
  expect((await api.send('POST', '/v1/jobs', { body: { command: 'true' } })).status).toBe(201);
  expect((await api.send('GET', `/v1/jobs/${running}`)).body.state).toBe('running');
  expect((await api.send('GET', '/v1/stats')).body.totals.submitted).toBe(submitted);
};

const openWithRunning = async () => {
  const own = await openOwn();
  const running = await own.api.submit();
  await startJob(own.api.store, running);
  return { ...own, running };
};

describe('row 44: a Redis that is there and cannot', () => {
  it('is a replica (READONLY), one without its master (MASTERDOWN), and a master again', async () => {
    const { api, redis, running } = await openWithRunning();
    await redis.replicaof('127.0.0.1', 1);
    await expectRefused(api, running, 'READONLY');
    expect((await api.send('GET', `/v1/jobs/${running}`)).body.state).toBe('running');
    await redis.config('SET', 'replica-serve-stale-data', 'no');
    await expectRefused(api, running, 'MASTERDOWN');
    await redis.replicaof('NO', 'ONE');
    await expectWell(api, running, 2);
  });

  it('misses its replicas (NOREPLICAS)', async () => {
    const { api, redis, running } = await openWithRunning();
    await redis.config('SET', 'min-replicas-to-write', '1');
    await expectRefused(api, running, 'NOREPLICAS');
    await redis.config('SET', 'min-replicas-to-write', '0');
    await expectWell(api, running, 2);
  });

  it('is busy with a script (BUSY)', async () => {
    const { api, redis, socket, running } = await openWithRunning();
    await redis.config('SET', 'lua-time-limit', '10');
    const other = openRedis(socket, 'steady');
    onTestFinished(() => other.disconnect());
    const endless = other.eval('while true do end', 0).catch(() => {});
    await until('it to be busy', async () => (await api.send('GET', '/health')).status === 503);
    await expectRefused(api, running, 'BUSY');
    await redis.script('KILL');
    await endless;
    await expectWell(api, running, 2);
  });

  it('forgets the scripts and cuts every connection under load: nothing that was answered is lost', async () => {
    const { api, redis, running } = await openWithRunning();
    const submit = () => api.send('POST', '/v1/jobs', { body: { command: 'true' } });
    const accepted: string[] = [];
    for (let round = 0; round < 5; round += 1) {
      await redis.script('FLUSH');
      const sent = Array.from({ length: 40 }, submit);
      await Promise.race(sent);
      await redis.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
      const replies = await Promise.all(sent);
      for (const { status, body } of replies) {
        expect([201, 503]).toContain(status);
        if (status === 201) accepted.push(body.job_id);
      }
      await until('the API to recover', async () => (await submit()).status === 201);
    }
    expect(accepted.length).toBeGreaterThan(4);
    const read = await Promise.all(accepted.map((job_id) => api.send('GET', `/v1/jobs/${job_id}`)));
    expect(new Set(read.map(({ body }) => body.state))).toEqual(new Set(['pending']));
    expect((await api.send('GET', `/v1/jobs/${running}`)).body.state).toBe('running');
  });
});
