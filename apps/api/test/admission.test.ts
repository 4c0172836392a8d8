import { rmSync } from 'node:fs';
import { UnsafeBrokerError } from '@berth/store';
import type { Redis } from 'ioredis';
import { describe, expect, it } from 'vitest';
import { expectProblem, findQueues, openTestApi, settleJob, startJob, type TestApi, until } from './open-test-api.js';
import { openOwn, startRedis } from './own-redis.js';

const WORKLOAD = { docker_image: 'busybox:stable', command: ['true'], cpu_cores: 1, memory_gb: 1 };

const readReady = async (api: TestApi) => (await api.send('GET', '/ready')).body;
const untilClosed = (api: TestApi, reason: string, limit_ms?: number) =>
  until(
    `admission to close for ${reason}`,
    async () => (await readReady(api)).refusals.some((one: { reason: string }) => one.reason === reason),
    limit_ms,
  );
const untilOpen = (api: TestApi) => until('admission to open', async () => (await readReady(api)).accepting);

/** Every way to submit is refused, in its own words, and writes nothing. */
const expectClosed = async ({ api, redis }: { api: TestApi; redis: Redis }, reason: string, words: RegExp) => {
  const jobs = async () => [await redis.zcard(api.store.keys.jobs), (await redis.keys('*:idempotency:*')).length];
  const before = await jobs();
  const command = { command: 'true' };
  for (const [path, body] of [
    ['/v1/jobs', command],
    ['/v1/jobs:batch', { jobs: [command, command] }],
  ] as const) {
    const headers = path === '/v1/jobs' ? { 'idempotency-key': 'k' } : {};
    const reply = await api.send('POST', path, { body, headers });
    expect([path, reply.status, reply.headers['retry-after']]).toEqual([path, 503, '10']);
    expectProblem(reply);
    expect(reply.body).toMatchObject({ code: 'unavailable', reasons: [reason], detail: expect.stringMatching(words) });
  }
  for (const body of [command, WORKLOAD]) {
    const reply = await api.send('POST', '/jobs', { body });
    expect([reply.status, reply.headers['retry-after']]).toEqual([503, '10']);
    expect(reply.body).toEqual({ detail: expect.stringMatching(words) });
  }
  expect(await jobs()).toEqual(before);
  expect((await api.send('POST', '/v1/jobs', { body: { comand: 'true' } })).status).toBe(400);
  const { text } = await api.send('GET', '/metrics');
  expect(text).toContain('\nberth_admission_open 0\n');
  expect(text).toContain(`\nberth_admission_refusal{reason="${reason}"} 1\n`);
};

const expectOpen = async (api: TestApi) => {
  await untilOpen(api);
  expect((await api.send('POST', '/v1/jobs', { body: { command: 'true' } })).status).toBe(201);
  expect((await api.send('GET', '/metrics')).text).toContain('\nberth_admission_open 1\n');
};

const usedMemory = async (redis: Redis) => Number(/used_memory:(\d+)/.exec(await redis.info('memory'))?.[1]);

describe('while no jobs are accepted', () => {
  it('for want of memory, all else goes on', async () => {
    const own = await openOwn();
    const { api, redis } = own;
    expect(await readReady(api)).toEqual({ status: 'ready', reason: null, accepting: true, refusals: [] });
    const running = await api.submit();
    const claim = await startJob(api.store, running);
    const waiting = await api.submit();
    await redis.config('SET', 'maxmemory', Math.round((await usedMemory(redis)) * 1.2));
    await untilClosed(api, 'memory');
    await expectClosed(own, 'memory', /uses \d+ MiB of its maxmemory.*Raise maxmemory/);
    expect((await api.send('GET', '/health')).status).toBe(200);
    expect(await readReady(api)).toMatchObject({ status: 'ready', accepting: false });
    expect((await api.send('GET', `/v1/jobs/${running}`)).body.state).toBe('running');
    expect((await api.send('POST', `/v1/jobs/${waiting}/cancel`)).body.state).toBe('cancelled');
    await settleJob(api.store, claim);
    expect((await api.send('GET', `/v1/jobs/${running}`)).body.state).toBe('completed');
    await redis.config('SET', 'maxmemory', 0);
    await expectOpen(api);
  });

  it('also between two looks a full broker takes nothing, and everything that it answered is there', async () => {
    const { api, redis } = await openOwn();
    await api.submit();
    await redis.config('SET', 'maxmemory', 1);
    const replies = await Promise.all(
      Array.from({ length: 50 }, () => api.send('POST', '/v1/jobs', { body: { command: 'true' } })),
    );
    expect(new Set(replies.map((reply) => reply.status))).toEqual(new Set([503]));
    await redis.config('SET', 'maxmemory', 0);
    await expectOpen(api);
    expect((await api.send('GET', '/v1/stats')).body.totals.submitted).toBe(2);
  });

  it('for a disk that Redis cannot write to', async () => {
    const own = await openOwn(['--save', '3600 1']);
    const job_id = await own.api.submit();
    rmSync(own.folder, { recursive: true });
    await own.redis.bgsave();
    await untilClosed(own.api, 'persistence');
    await expectClosed(own, 'persistence', /cannot write to its disk/);
    expect((await own.api.send('GET', `/v1/jobs/${job_id}`)).status).toBe(200);
    await own.redis.config('SET', 'save', '');
    await expectOpen(own.api);
  });

  it('for a Redis that has gone back to an older state, until a person has seen to it', async () => {
    const own = await openOwn();
    const { keys, adoptions } = own.api.store;
    const beat = () => adoptions.beat({ worker: 'w', engine: 'e' }, 'i');
    await beat();
    await beat();
    await own.redis.set(keys.beats, 1);
    await beat();
    await untilClosed(own.api, 'went_back');
    await expectClosed(own, 'went_back', new RegExp(`gone back to an older state.*redis-cli del ${keys.wentBack}`));
    await own.redis.del(keys.wentBack);
    await expectOpen(own.api);
  });

  it('for an eviction policy that somebody sets meanwhile', async () => {
    const own = await openOwn();
    await own.redis.config('SET', 'maxmemory-policy', 'allkeys-lru');
    await untilClosed(own.api, 'eviction_policy');
    await expectClosed(own, 'eviction_policy', /maxmemory-policy allkeys-lru.*config set maxmemory-policy noeviction/);
    await own.redis.config('SET', 'maxmemory-policy', 'noeviction');
    await expectOpen(own.api);
  });

  it('for accepted jobs that nobody brings to their queue', async () => {
    const own = await openOwn();
    const counter = `${own.api.store.keys.bull}:small:pc`;
    await own.redis.set(counter, 'BullMQ cannot count with this');
    const job_id = await own.api.submit();
    await untilClosed(own.api, 'outbox', 60_000);
    await expectClosed(own, 'outbox', /have waited \d\d s for a queue that has room/);
    await own.redis.del(counter);
    await expectOpen(own.api);
    expect(await findQueues(own.api, job_id)).toEqual(['small']);
  });
});

describe('a broker that evicts', () => {
  it('is refused at the start', async () => {
    const { socket } = await startRedis(['--maxmemory-policy', 'volatile-ttl']);
    const error = await openTestApi('evicting', { redisUrl: socket }).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(UnsafeBrokerError);
    expect(String(error)).toContain('maxmemory-policy volatile-ttl');
  });
});
