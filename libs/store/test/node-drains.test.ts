import { LEASE_MARGIN_MS, LEASE_MS, LOST_AFTER_MS, type ReportedHeartbeat } from '@berth/store';
import { describe, expect, it, vi } from 'vitest';
import { claim, openTestRedis, openTestStore, submit, toClaimant, toSettlement } from './open-test-store.js';

const toBeat = (worker: string, fields: Partial<ReportedHeartbeat> = {}): ReportedHeartbeat => ({
  worker,
  node: 'node-1',
  engine: 'engine-1',
  version: '0.1.0',
  engine_version: '20.10',
  oci_runtime: 'runc',
  capacity: { centicpus: 400, memory_mb: 4_096, gpus: 0 },
  classes: ['small'],
  running: 0,
  started_at: 0,
  ...fields,
});

describe('a drained node', () => {
  it('takes no more jobs, keeps those that it has, and is called drained once it has none', async () => {
    const { store } = openTestStore('drains');
    await store.workers.report(toBeat('w1'));
    const readState = async () => (await store.workers.readNodes())[0]?.state;
    const held = await claim(store, await submit(store));
    expect(await store.drains.drain('node-1')).toBe(true);
    expect(await readState()).toBe('draining');
    const waiting = await submit(store);
    expect(await store.claims.claim(waiting, toClaimant())).toEqual({ kind: 'none' });
    expect(await store.claims.renew([held])).toEqual(['held']);
    expect(await store.claims.settle(held, toSettlement('completed'))).toMatchObject({ kind: 'settled' });
    expect(await readState()).toBe('drained');
    expect(await store.drains.drain('node-1')).toBe(true);
    expect(await store.claims.claim(waiting, toClaimant({ node: 'node-2', engine: 'engine-2' }))).toMatchObject({
      kind: 'claimed',
    });
  });

  it('takes jobs again when it is resumed, and its waiting workers hear of it', async () => {
    const { store, redis } = openTestStore('drains');
    await store.workers.report(toBeat('w1'));
    await store.workers.report(toBeat('w2', { node: 'other-name' }));
    await store.drains.drain('node-1');
    expect(await redis.smembers(store.keys.drained)).toEqual(expect.arrayContaining(['node-1', 'other-name']));
    const listener = openTestRedis();
    const heard: string[] = [];
    listener.on('message', (_channel, message) => heard.push(message));
    await listener.subscribe(store.keys.engineChannel('engine-1'));
    expect(await store.drains.resume('other-name')).toBe(true);
    await vi.waitFor(() => expect(heard).toEqual(['room']), { timeout: 20_000 });
    expect(await redis.exists(store.keys.drained)).toBe(0);
    await claim(store, await submit(store));
  });

  it('is one that has reported; a drained one that is gone can still be resumed', async () => {
    const { store } = openTestStore('drains');
    expect(await store.drains.drain('nobody')).toBe(false);
    expect(await store.drains.resume('nobody')).toBe(false);
    await store.workers.report(toBeat('w1'));
    await store.drains.drain('node-1');
    await store.workers.leave('w1');
    expect(await store.drains.resume('node-1')).toBe(true);
    expect(await store.drains.resume('node-1')).toBe(false);
  });
});

describe('a silent machine', () => {
  it('has lost its jobs before it is called lost, and they wait again or end by their policy', async () => {
    expect(LEASE_MS + LEASE_MARGIN_MS).toBeLessThan(LOST_AFTER_MS);
    const { store, redis } = openTestStore('drains');
    const held = await claim(store, await submit(store));
    const [seconds] = (await redis.time()) as unknown as [string];
    const now_ms = Number(seconds) * 1_000;
    await redis.zadd(store.keys.leases, now_ms - LEASE_MARGIN_MS - 1_000, held.job_id);
    expect(await store.claims.expire(now_ms + 1_000)).toEqual([held.job_id]);
    expect(await store.jobs.read(held.job_id)).toMatchObject({
      state: 'pending',
      attempts: [{ cause: 'node_lost', node: 'node-1' }],
    });
  });

  it('leaves no ledger behind once it is forgotten, unless a job of it is not settled', async () => {
    const { store, redis, prefix } = openTestStore('drains');
    const gone = toClaimant({ worker: 'w-gone', engine: 'gone', node: 'gone' });
    const busy = toClaimant({ worker: 'w-busy', engine: 'busy', node: 'busy' });
    await store.adoptions.beat(gone, prefix);
    await store.adoptions.beat(busy, prefix);
    const held = await claim(store, await submit(store), gone);
    await store.claims.settle(held, toSettlement('completed'));
    await claim(store, await submit(store), busy);
    const find = async (engine: string) => (await redis.keys(`${prefix}:engine:${engine}:*`)).length;
    expect(await find('gone')).toBeGreaterThan(0);
    await redis.sadd(store.keys.hungry('small'), 'gone', 'busy');
    await redis.zadd(store.keys.engines, 1, 'gone', 1, 'busy');
    await store.adoptions.beat(toClaimant(), prefix);
    expect(await find('gone')).toBe(0);
    expect(await find('busy')).toBeGreaterThan(0);
    expect(await redis.zrange(store.keys.engines, '0', '-1')).toEqual(['busy', 'engine-1']);
    expect(await redis.smembers(store.keys.hungry('small'))).toEqual(['busy']);
  });
});
