import { describe, expect, it } from 'vitest';
import { claim, findKeys, openTestStore, submit, toNewJob, toSettlement } from './open-test-store.js';

const LATER = () => Date.now() + 1_000;

describe('retention', () => {
  it('leaves nothing of a forgotten job but what belongs to all', async () => {
    const { redis, store, prefix } = openTestStore('retention');
    const fields = { name: 'n é "q"', labels: { a: 'b=c é', d: '/"\\' }, max_attempts: 2 };
    const { job_id } = await store.jobs.accept(toNewJob(fields, { format: 'workload', request: { a: 1 } }));
    await store.backlog.dispatch('small', 10, 10);
    await store.claims.settle(await claim(store, job_id), toSettlement('retried'));
    const last = await claim(store, job_id);
    const piece = { stream: 'stdout' as const, attempt: 2, bytes: Buffer.from('hi') };
    expect(await store.logs.append(last, { first: 1, pieces: [piece], lines: ['hi'] })).toBe('stored');
    await store.claims.settle(last, toSettlement('completed'));
    expect(await store.retention.forget(LATER())).toBe(1);
    expect(await findKeys(redis, `*${job_id}*`)).toEqual([]);
    expect(await store.jobs.read(job_id)).toBeNull();
    expect((await store.list.list({}, 10)).jobs).toEqual([]);
    const left = (await findKeys(redis, `${prefix}:*`)).map((key) => key.slice(prefix.length)).sort();
    // What a claim's call was answered goes by itself.
    const answers = left.filter((key) => key.startsWith(':claim:'));
    for (const key of answers) expect(await redis.ttl(`${prefix}${key}`)).toBeGreaterThan(0);
    const lasting = left.filter((key) => !answers.includes(key));
    expect(lasting).toEqual([':classes', ':counters', ':engine:engine-1:reserved', ':events']);
  });

  it('forgets a job whose record names no user, as one of `local`', async () => {
    const { redis, store } = openTestStore('retention');
    const id = await submit(store);
    await store.jobs.cancel(id);
    await redis.hdel(store.keys.job(id), 'user', 'shape');
    expect(await store.retention.forget(LATER())).toBe(1);
    expect(await findKeys(redis, `*${id}*`)).toEqual([]);
  });

  it('forgets what ended before the time, so many at once, and nothing that has not ended', async () => {
    const { redis, store } = openTestStore('retention');
    const running = await submit(store);
    await claim(store, running);
    const pending = await submit(store);
    const ended: string[] = [];
    for (let i = 0; i < 5; i++) {
      const id = await submit(store);
      await store.jobs.cancel(id);
      await redis.zadd(store.keys.finished, i + 1, id);
      ended.push(id);
    }
    expect(await store.retention.forget(0)).toBe(0);
    expect(await store.retention.forget(3, 2)).toBe(2);
    expect(await store.retention.forget(3, 2)).toBe(1);
    expect(await store.retention.forget(3, 2)).toBe(0);
    const { jobs } = await store.list.list({}, 10);
    expect(jobs.map((job) => job.job_id)).toEqual([ended[4], ended[3], pending, running]);
  });
});
