import { LEASE_MARGIN_MS, LEASE_MS, type Store } from '@berth/store';
import { describe, expect, it } from 'vitest';
import { claim, historyOf, openTestStore, submit, toClaimant, toSettlement } from './open-test-store.js';
import { waitUntil } from './wait-until.js';

const dispatchedIds = async (store: Store): Promise<string[]> =>
  (await store.backlog.dispatch('small', 100, 100)).map((job) => job.job_id);

describe('released', () => {
  it('uses nothing up: the job is back in the backlog with the same attempt', async () => {
    const { store } = openTestStore('restarts');
    const id = await submit(store);
    await dispatchedIds(store);
    const held = await claim(store, id);
    await store.claims.start(held, 'sha256:abc');
    await store.claims.settle(held, toSettlement('released'));
    const record = await store.jobs.read(id);
    expect(record).toMatchObject({ state: 'pending', attempt: 1, attempts: [], started_at: null, due_at: null });
    expect(await dispatchedIds(store)).toEqual([id]);
    expect(await claim(store, id)).toMatchObject({ epoch: 2, attempt: 1 });
  });
});

describe('lost', () => {
  it('starts the job again at once, and notes the epoch', async () => {
    const { store } = openTestStore('restarts');
    const id = await submit(store);
    await store.claims.settle(await claim(store, id), toSettlement('lost'));
    const record = await store.jobs.read(id);
    expect(record).toMatchObject({ state: 'pending', attempt: 1 });
    expect(record?.attempts).toMatchObject([{ attempt: 1, epoch: 1, cause: 'engine_restarted', exit_code: null }]);
    expect(await dispatchedIds(store)).toEqual([id]);
  });

  it('three times in a row ends the job as poison', async () => {
    const { store } = openTestStore('restarts');
    const id = await submit(store);
    const ends: unknown[] = [];
    for (let i = 0; i < 3; i++) ends.push(await store.claims.settle(await claim(store, id), toSettlement('lost')));
    expect(ends).toMatchObject([{ state: 'pending' }, { state: 'pending' }, { state: 'failed' }]);
    expect(await store.jobs.read(id)).toMatchObject({ state: 'failed', cause: 'poison', epoch: 3 });
    expect((await store.readTotals()).finished).toMatchObject([{ state: 'failed', cause: 'poison', count: 1 }]);
  });

  it('is counted anew after an attempt that ended by itself, and not by a release', async () => {
    const { store } = openTestStore('restarts');
    const id = await submit(store, { max_attempts: 5 });
    const settle = async (type: 'lost' | 'released' | 'retried') =>
      store.claims.settle(await claim(store, id), toSettlement(type));
    for (const type of ['lost', 'lost', 'retried', 'lost', 'released', 'lost'] as const) {
      expect(await settle(type)).toEqual({ kind: 'settled', state: 'pending' });
    }
    expect(await settle('lost')).toEqual({ kind: 'settled', state: 'failed' });
  });
});

describe('retried', () => {
  it('waits out its back-off, then takes its place again with the next attempt', async () => {
    const { redis, store } = openTestStore('restarts');
    const id = await submit(store, { max_attempts: 2 });
    await dispatchedIds(store);
    const before = Date.now();
    const failed = toSettlement('retried', { exit_code: 1, delay_ms: 60_000 });
    await store.claims.settle(await claim(store, id), failed);
    const record = await store.jobs.read(id);
    expect(record).toMatchObject({ state: 'pending', attempt: 2, started_at: null });
    expect((record?.due_at ?? 0) - before).toBeGreaterThanOrEqual(59_000);
    expect(record?.attempts).toMatchObject([{ attempt: 1, exit_code: 1, cause: 'exit_code' }]);
    expect(await store.claims.claim(id, toClaimant())).toEqual({ kind: 'gone', state: 'pending' });
    expect([await store.backlog.releaseDue(), await dispatchedIds(store)]).toEqual([[], []]);

    await redis.zadd(store.keys.due, 1, id);
    await redis.hset(store.keys.job(id), 'due_at', 1);
    expect(await store.backlog.releaseDue()).toEqual(['small']);
    expect(await dispatchedIds(store)).toEqual([id]);
    expect(await claim(store, id)).toMatchObject({ epoch: 2, attempt: 2 });
    expect((await store.jobs.read(id))?.due_at).toBeNull();
  });

  it('comes back by itself when its time has come', async () => {
    const { store } = openTestStore('restarts');
    const id = await submit(store, { max_attempts: 2 });
    await store.claims.settle(await claim(store, id), toSettlement('retried', { delay_ms: 50 }));
    await waitUntil('the job is due', async () => (await store.backlog.releaseDue()).length > 0);
    expect(await dispatchedIds(store)).toEqual([id]);
  });

  it('may be claimed by an early message once it is due, and is then due no more', async () => {
    const { redis, store } = openTestStore('restarts');
    const id = await submit(store, { max_attempts: 2 });
    await store.claims.settle(await claim(store, id), toSettlement('retried', { delay_ms: 0 }));
    await claim(store, id);
    expect(await redis.zcard(store.keys.due)).toBe(0);
    expect((await store.jobs.read(id))?.due_at).toBeNull();
  });
});

describe('a lease', () => {
  it('lasts its time, and is renewed from now on', async () => {
    const { redis, store } = openTestStore('restarts');
    const id = await submit(store);
    const before = Date.now();
    const held = await claim(store, id);
    const end = async () => Number(await redis.zscore(store.keys.leases, id));
    expect(await end()).toBeGreaterThanOrEqual(before + LEASE_MS);
    const again = Date.now();
    await redis.zadd(store.keys.leases, again + 1_000, id);
    expect(await store.claims.renew([held])).toEqual(['held']);
    expect(await end()).toBeGreaterThanOrEqual(again + LEASE_MS);
    expect(await store.claims.renew([])).toEqual([]);
  });

  it('that ran out takes the job away only after the margin', async () => {
    const { redis, store } = openTestStore('restarts');
    const id = await submit(store);
    const held = await claim(store, id);
    await store.claims.start(held, 'sha256:abc');
    await redis.zadd(store.keys.leases, Date.now() - 1, id);
    expect(await store.claims.expire(Date.now())).toEqual([]);
    await redis.zadd(store.keys.leases, Date.now() - LEASE_MARGIN_MS - 1, id);
    expect(await store.claims.expire(Date.now())).toEqual([id]);
    expect(await store.claims.expire(Date.now())).toEqual([]);
    expect(await historyOf(store, id)).toEqual(['submitted', 'claimed', 'started', 'lost']);
    const record = await store.jobs.read(id);
    expect(record?.state).toBe('pending');
    expect(record?.attempts).toMatchObject([
      { attempt: 1, epoch: 1, node: 'node-1', image_digest: 'sha256:abc', exit_code: null, cause: 'node_lost' },
    ]);
    expect(record?.attempts[0]?.started_at).toBeGreaterThan(0);
    expect(await store.workers.readReserved('engine-1')).toEqual({ centicpus: 0, memory_mb: 0, gpus: 0 });
    expect(await store.claims.renew([held])).toEqual(['over']);
    expect(await store.claims.settle(held, toSettlement('completed'))).toEqual({ kind: 'stale', state: 'pending' });
  });

  it('of a job that never started leaves no digest and no start behind', async () => {
    const { redis, store } = openTestStore('restarts');
    const id = await submit(store);
    await claim(store, id);
    await redis.zadd(store.keys.leases, 1, id);
    await store.claims.expire(Date.now());
    expect((await store.jobs.read(id))?.attempts).toMatchObject([{ image_digest: null, started_at: null }]);
  });

  it('of a worker that dies each time ends in poison', async () => {
    const { redis, store } = openTestStore('restarts');
    const id = await submit(store);
    for (let i = 0; i < 3; i++) {
      await claim(store, id, toClaimant({ worker: `w${i}` }));
      await redis.zadd(store.keys.leases, 1, id);
      await store.claims.expire(Date.now());
    }
    expect(await store.jobs.read(id)).toMatchObject({ state: 'failed', cause: 'poison' });
  });

  it('of a job that is gone is swept away', async () => {
    const { redis, store } = openTestStore('restarts');
    await redis.zadd(store.keys.leases, 1, 'missing');
    await store.claims.expire(Date.now());
    expect(await redis.zcard(store.keys.leases)).toBe(0);
  });
});
