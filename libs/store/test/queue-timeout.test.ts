import type { Store } from '@berth/store';
import { describe, expect, it } from 'vitest';
import { claim, historyOf, openTestStore, submit, toNewJob, toSettlement } from './open-test-store.js';
import { waitUntil } from './wait-until.js';

const submitFor = async (store: Store, queue_timeout_seconds: number): Promise<string> =>
  (await store.jobs.accept(toNewJob({}, { queue_timeout_seconds }))).job_id;

/** By the broker's clock, which is what counts. */
const untilPast = (store: Store, ms: number): Promise<void> => {
  const end = Date.now() + ms;
  return waitUntil('the deadline is past', async () => {
    await store.ping();
    return Date.now() > end + 20;
  });
};

describe('a queue timeout', () => {
  it('fails a job that is still pending past it, once, and takes it out of every queue', async () => {
    const { redis, store } = openTestStore('queue-timeout');
    const [id, patient] = [await submitFor(store, 60), await submitFor(store, 60)];
    expect(await store.backlog.failOverdue()).toEqual([]);
    await store.backlog.dispatch('small', 10, 1);
    await redis.zadd(store.keys.queueDeadlines, Date.now() - 1, id);
    expect(await store.backlog.failOverdue()).toEqual([{ job_id: id, class: 'small', ticket: `${id}-1` }]);
    expect(await store.backlog.failOverdue()).toEqual([]);
    expect(await store.jobs.read(id)).toMatchObject({
      state: 'failed',
      cause: 'queue_timeout',
      exit_code: null,
      attempts: [],
      message: expect.stringContaining('No machine'),
    });
    expect(await historyOf(store, id)).toEqual(['submitted', 'failed']);
    expect(await redis.zrange(store.keys.dispatched('small'), '0', '-1')).toEqual([]);
    expect(await redis.zrange(store.keys.queueDeadlines, '0', '-1')).toEqual([patient]);
    expect((await store.readTotals()).finished).toEqual([
      { class: 'small', state: 'failed', cause: 'queue_timeout', count: 1 },
    ]);
    expect((await store.jobs.read(patient))?.state).toBe('pending');
  });

  it('leaves alone what was claimed in time, although it comes back to the queue', async () => {
    const { redis, store } = openTestStore('queue-timeout');
    const running = await submitFor(store, 0.1);
    const back = await submitFor(store, 0.1);
    await claim(store, running);
    const held = await claim(store, back);
    await store.claims.start(held, 'sha256:abc');
    await store.claims.settle(held, toSettlement('released'));
    await untilPast(store, 100);
    expect(await store.backlog.failOverdue()).toEqual([]);
    expect((await store.jobs.read(running))?.state).toBe('running');
    expect((await store.jobs.read(back))?.state).toBe('pending');
    expect(await redis.exists(store.keys.queueDeadlines)).toBe(0);
  });

  it('goes on where a claim came to nothing: nothing has run yet', async () => {
    const { store } = openTestStore('queue-timeout');
    const [released, lost] = [await submitFor(store, 0.1), await submitFor(store, 0.1)];
    await store.claims.settle(await claim(store, released), toSettlement('released'));
    await store.claims.settle(await claim(store, lost), toSettlement('lost'));
    await untilPast(store, 100);
    expect((await store.backlog.failOverdue()).map((one) => one.job_id).sort()).toEqual([released, lost].sort());
    expect(await store.jobs.read(released)).toMatchObject({ state: 'failed', cause: 'queue_timeout' });
  });

  it('is none where none was asked for, and none for a job that was cancelled', async () => {
    const { redis, store } = openTestStore('queue-timeout');
    await submit(store);
    expect(await redis.exists(store.keys.queueDeadlines)).toBe(0);
    const cancelled = await submitFor(store, 0.1);
    await store.jobs.cancel(cancelled);
    await untilPast(store, 100);
    expect(await store.backlog.failOverdue()).toEqual([]);
    expect((await store.jobs.read(cancelled))?.state).toBe('cancelled');
  });
});

describe('readPendingAsks', () => {
  it('gives what each pending job asks for, over as many pages as it takes', async () => {
    const { store } = openTestStore('pending-asks');
    await Promise.all(Array.from({ length: 520 }, () => submit(store)));
    await claim(store, await submit(store, { cpus: 4 }));
    const big = await submit(store, { cpus: 2.5, memory_mb: 512 });
    const pages = [];
    for await (const page of store.readPendingAsks()) pages.push(page);
    expect(pages.map((page) => page.length)).toEqual([500, 21]);
    expect(pages.flat().at(-1)).toEqual({ centicpus: 250, memory_mb: 512, gpus: 0 });
    expect((await store.jobs.read(big))?.state).toBe('pending');
  });
});

describe('changed_at', () => {
  it('moves with the state and with the wish to cancel, and with nothing else', async () => {
    const { redis, store } = openTestStore('changed-at');
    const id = await submit(store);
    const read = async () => (await store.jobs.read(id))?.changed_at ?? 0;
    const created_at = (await store.jobs.read(id))?.created_at;
    expect(await read()).toBe(created_at);
    const rewind = () => redis.hset(store.keys.job(id), 'changed_at', 1);
    await rewind();
    const held = await claim(store, id);
    expect(await read()).toBeGreaterThan(1);
    await rewind();
    await store.claims.start(held, 'sha256:abc');
    expect(await read()).toBe(1);
    await store.jobs.cancel(id);
    expect(await read()).toBeGreaterThan(1);
    await rewind();
    await store.claims.settle(held, toSettlement('completed'));
    expect(await read()).toBeGreaterThan(1);
  });
});
