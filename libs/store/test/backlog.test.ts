import { createStore } from '@berth/store';
import { describe, expect, it } from 'vitest';
import { claim, openTestRedis, openTestStore, submit, toNewJob, toSettlement } from './open-test-store.js';

describe('the backlog', () => {
  it('gives the most urgent first, and of those the oldest', async () => {
    const { store } = openTestStore('backlog');
    const low = await submit(store, { priority: 0 });
    const first = await submit(store, { priority: 50 });
    const second = await submit(store, { priority: 50 });
    const urgent = await submit(store, { priority: 100 });
    const jobs = await store.backlog.dispatch('small', 10, 10);
    expect(jobs.map((job) => job.job_id)).toEqual([urgent, first, second, low]);
    expect(jobs[0]).toMatchObject({ ticket: `${urgent}-1`, priority: 100, spec: { priority: 100, command: ['true'] } });
  });

  it('fills its window and no more, until jobs leave it', async () => {
    const { store } = openTestStore('backlog');
    for (let i = 0; i < 10; i++) await submit(store);
    const jobs = await store.backlog.dispatch('small', 6, 4);
    expect(jobs).toHaveLength(4);
    expect(await store.backlog.dispatch('small', 6, 4)).toHaveLength(2);
    expect(await store.backlog.dispatch('small', 6, 4)).toEqual([]);
    await claim(store, jobs[0]?.job_id ?? '');
    await store.jobs.cancel(jobs[1]?.job_id ?? '');
    expect(await store.backlog.dispatch('small', 6, 4)).toHaveLength(2);
  });

  it('keeps the classes apart', async () => {
    const { store } = openTestStore('backlog');
    await store.jobs.accept(toNewJob({}, { class: 'large' }));
    expect(await store.backlog.dispatch('small', 10, 10)).toEqual([]);
    expect(await store.backlog.dispatch('large', 10, 10)).toHaveLength(1);
  });

  it('gives each job to one of several dispatchers', async () => {
    const { store, prefix } = openTestStore('backlog');
    const other = createStore(openTestRedis(), prefix);
    await Promise.all(Array.from({ length: 300 }, () => store.jobs.accept(toNewJob())));
    const taken = await Promise.all(
      Array.from({ length: 40 }, (_, i) => (i % 2 ? store : other).backlog.dispatch('small', 1_000, 10)),
    );
    const ids = taken.flat().map((job) => job.job_id);
    expect([ids.length, new Set(ids).size]).toEqual([300, 300]);
  });

  it('finds what nobody took, once per age, and takes it back with a new ticket', async () => {
    const { redis, store } = openTestStore('backlog');
    const id = await submit(store);
    await store.backlog.dispatch('small', 10, 10);
    expect(await store.backlog.overdue('small', 60_000)).toEqual([]);
    await redis.zadd(store.keys.dispatched('small'), Date.now() - 61_000, id);
    expect(await store.backlog.overdue('small', 60_000)).toEqual([{ job_id: id, ticket: `${id}-1` }]);
    expect(await store.backlog.overdue('small', 60_000)).toEqual([]);
    await store.backlog.redispatch(id, 'small');
    expect(await redis.zcard(store.keys.dispatched('small'))).toBe(0);
    expect(await store.backlog.dispatch('small', 10, 10)).toMatchObject([{ job_id: id, ticket: `${id}-2` }]);
  });

  it('takes nothing back that was claimed or cancelled meanwhile', async () => {
    const { store } = openTestStore('backlog');
    const [claimed, cancelled] = [await submit(store), await submit(store)];
    await store.backlog.dispatch('small', 10, 10);
    await claim(store, claimed);
    await store.jobs.cancel(cancelled);
    await store.backlog.redispatch(claimed, 'small');
    await store.backlog.redispatch(cancelled, 'small');
    await store.backlog.redispatch('missing', 'small');
    expect(await store.backlog.dispatch('small', 10, 10)).toEqual([]);
  });
});

describe('a queue timeout', () => {
  const impatient = (queue_timeout_seconds: number) => toNewJob({}, { queue_timeout_seconds });

  it('fails what nobody took in time, wherever it waits, and says so', async () => {
    const { redis, store } = openTestStore('backlog');
    const dispatched = await store.jobs.accept(impatient(0));
    await store.backlog.dispatch('small', 10, 10);
    const waiting = await store.jobs.accept(impatient(0));
    const patient = await store.jobs.accept(impatient(60));
    const failed = await store.backlog.failOverdue();
    expect(failed).toEqual([
      { job_id: dispatched.job_id, class: 'small', ticket: `${dispatched.job_id}-1` },
      { job_id: waiting.job_id, class: 'small', ticket: null },
    ]);
    expect(await store.jobs.read(waiting.job_id)).toMatchObject({ state: 'failed', cause: 'queue_timeout', epoch: 0 });
    expect(await store.backlog.dispatch('small', 10, 10)).toMatchObject([{ job_id: patient.job_id }]);
    expect(await redis.zcard(store.keys.finished)).toBe(2);
    expect(await store.backlog.failOverdue()).toEqual([]);
  });

  it('spares what has run, also when it comes back, and forgets what was cancelled', async () => {
    const { redis, store } = openTestStore('backlog');
    const { job_id } = await store.jobs.accept(impatient(0));
    const held = await claim(store, job_id);
    expect(await store.backlog.failOverdue()).toEqual([]);
    await store.claims.start(held, 'sha256:abc');
    await store.claims.settle(held, toSettlement('released'));
    const cancelled = await store.jobs.accept(impatient(60));
    await store.jobs.cancel(cancelled.job_id);
    expect(await store.backlog.failOverdue()).toEqual([]);
    expect((await store.jobs.read(job_id))?.state).toBe('pending');
    expect(await redis.exists(store.keys.queueDeadlines)).toBe(0);
  });
});
