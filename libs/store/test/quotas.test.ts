import { type Quota, type QuotaTarget, toServiceGroups } from '@berth/domain';
import type { Claim, Store } from '@berth/store';
import { describe, expect, it } from 'vitest';
import { createDrawer } from './draw.js';
import { openTestStore, toClaimant, toNewJob, toSettlement } from './open-test-store.js';

const huge = toClaimant({ capacity: { centicpus: 100_000, memory_mb: 1_000_000, gpus: 0 } });

const submitAs = async (store: Store, user: string, count: number, groups: string[] = []): Promise<string[]> => {
  const ids: string[] = [];
  for (let i = 0; i < count; i += 1)
    ids.push((await store.jobs.accept(toNewJob({ cpus: 1 }, { user, groups }))).job_id);
  return ids;
};

const end = (store: Store, claim: Claim | undefined) => {
  if (!claim) throw new Error('expected a claim');
  return store.claims.settle(claim, toSettlement('completed'));
};

const countBy = (claims: Claim[]): Record<string, number> => {
  const counts: Record<string, number> = {};
  for (const { user } of claims) counts[user] = (counts[user] ?? 0) + 1;
  return counts;
};

describe('a quota', () => {
  it.each<[string, QuotaTarget, Quota]>([
    ['jobs of a user', { user: 'alice' }, { max_running: 2 }],
    ['CPUs of every user', { user: '*' }, { max_cpus: 2.5 }],
    ['memory of a user within a class', { user: 'alice', class: 'small' }, { max_memory_mb: 600 }],
    ['memory of every user within a class', { user: '*', class: 'small' }, { max_memory_mb: 600 }],
    ['jobs of a class', { class: 'small' }, { max_running: 2 }],
  ])('keeps %s waiting, and lets them run once it is gone', async (_name, target, quota) => {
    const { store } = openTestStore('quotas');
    await store.quotas.set(target, quota);
    await submitAs(store, 'alice', 4);
    const drawer = createDrawer(store);
    expect(await drawer.all(huge)).toHaveLength(2);
    expect(await store.quotas.remove(target)).toBe(true);
    expect(await store.quotas.remove(target)).toBe(false);
    expect(await drawer.all(huge)).toHaveLength(2);
  });

  it('of one user stands in place of every user’s, whole', async () => {
    const { store } = openTestStore('quotas');
    await store.quotas.set({ user: '*' }, { max_running: 1 });
    await store.quotas.set({ user: 'alice' }, { max_cpus: 3 });
    await submitAs(store, 'alice', 4);
    await submitAs(store, 'bob', 4);
    expect(countBy(await createDrawer(store).all(huge))).toEqual({ alice: 3, bob: 1 });
  });

  it('is taken in by the next job when one ends, whichever machine has room', async () => {
    const { store } = openTestStore('quotas');
    await store.quotas.set({ user: 'alice' }, { max_running: 1 });
    const ids = await submitAs(store, 'alice', 2);
    const drawer = createDrawer(store);
    const first = await drawer.next(huge);
    expect(await drawer.next(huge)).toBeUndefined();
    await end(store, first);
    expect((await drawer.next(toClaimant({ engine: 'other', node: 'other' })))?.job_id).toBe(ids[1]);
  });

  it('wakes the workers that found nothing when it changes', async () => {
    const { store, redis } = openTestStore('quotas');
    await store.quotas.set({ user: 'alice' }, { max_running: 0 });
    await submitAs(store, 'alice', 1);
    const heard: string[] = [];
    const listener = redis.duplicate();
    await listener.subscribe(store.keys.engineChannel('engine-1'));
    listener.on('message', (_channel, message) => heard.push(message));
    expect(await createDrawer(store).next()).toBeUndefined();
    await store.quotas.set({ user: 'alice' }, { max_running: 1 });
    await expect.poll(() => heard).toEqual(['room']);
    listener.disconnect();
  });

  it('is listed with what its group holds', async () => {
    const { store, redis } = openTestStore('quotas');
    await store.quotas.set({ user: '*', class: 'small' }, { max_pending: 9 });
    await store.quotas.set({ user: 'alice' }, { max_running: 3 });
    await store.quotas.set({ class: 'small' }, { max_cpus: 8 });
    await redis.hset(store.keys.quotas, 'array/a', '{"max_running":1}', 'service/x', '{}');
    await submitAs(store, 'alice', 3);
    const drawer = createDrawer(store);
    await drawer.next(huge);
    expect(await store.quotas.list()).toEqual([
      {
        target: { class: 'small' },
        quota: { max_cpus: 8 },
        used: { running: 1, centicpus: 100, memory_mb: 256, gpus: 0, pending: 2 },
      },
      { target: { user: '*', class: 'small' }, quota: { max_pending: 9 }, used: null },
      {
        target: { user: 'alice' },
        quota: { max_running: 3 },
        used: { running: 1, centicpus: 100, memory_mb: 256, gpus: 0, pending: 2 },
      },
    ]);
  });

  it('of pending jobs lets exactly one of fifty in that come at a time', async () => {
    const { store } = openTestStore('quotas');
    await store.quotas.set({ user: 'alice' }, { max_pending: 10 });
    await submitAs(store, 'alice', 9);
    const tries = Array.from({ length: 50 }, () => store.jobs.accept(toNewJob({}, { user: 'alice' })));
    const settled = await Promise.allSettled(tries);
    expect(settled.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    const refused = settled.filter((one) => one.status === 'rejected');
    expect(refused.map(({ reason }) => reason.code)).toEqual(Array.from({ length: 49 }, () => 'over_quota'));
  });
});

/** The examples that the job orchestrator's documentation gives for its quotas, as groups of ours. */
describe('the quotas of the job orchestrator’s services', () => {
  const setService = async (
    store: Store,
    redis: { hset(...args: string[]): Promise<number> },
    name: string,
    limits: { per_user: number; most: number },
  ) => {
    await redis.hset(store.keys.quotas, `service/${name}`, JSON.stringify({ max_running: limits.most }));
    await redis.hset(store.keys.quotas, `user/*/service/${name}`, JSON.stringify({ max_running: limits.per_user }));
  };
  const submitTo = (store: Store, service: string, user: string, count: number) =>
    submitAs(store, user, count, toServiceGroups(service, user));

  it('run 5 of a user’s 10 jobs; the other 5 stay queued, and the 6th follows when the 1st ends', async () => {
    const { store, redis } = openTestStore('quotas');
    await setService(store, redis, 'example', { per_user: 5, most: 10 });
    const ids = await submitTo(store, 'example', 'local:1', 10);
    const drawer = createDrawer(store);
    const running = await drawer.all(huge);
    expect(running.map(({ job_id }) => job_id)).toEqual(ids.slice(0, 5));
    const waiting = await store.jobs.readMany(ids.slice(5));
    expect(waiting.map(({ state }) => state)).toEqual(Array.from({ length: 5 }, () => 'pending'));
    await end(store, running[0]);
    expect((await drawer.all(huge)).map(({ job_id }) => job_id)).toEqual([ids[5]]);
  });

  it('count for each user and each service by itself', async () => {
    const { store, redis } = openTestStore('quotas');
    await setService(store, redis, 'example', { per_user: 5, most: 100 });
    await setService(store, redis, 'haddock', { per_user: 3, most: 100 });
    await submitTo(store, 'example', 'local:1', 8);
    await submitTo(store, 'haddock', 'local:1', 8);
    await submitTo(store, 'example', 'local:2', 8);
    expect(countBy(await createDrawer(store).all(huge))).toEqual({ 'local:1': 8, 'local:2': 5 });
  });

  it('share out what a service may run among its users in turns, whoever came first', async () => {
    const { store, redis } = openTestStore('quotas');
    await redis.hset(store.keys.cluster, { centicpus: 1_000, memory_mb: 10_000, gpus: 0 });
    await setService(store, redis, 'example', { per_user: 5, most: 6 });
    await submitTo(store, 'example', 'local:1', 8);
    await submitTo(store, 'example', 'local:2', 8);
    await submitTo(store, 'example', 'local:3', 1);
    const claims = await createDrawer(store).all(huge);
    expect(countBy(claims.slice(0, 3))).toEqual({ 'local:1': 1, 'local:2': 1, 'local:3': 1 });
    expect(countBy(claims.slice(0, 5))).toEqual({ 'local:1': 2, 'local:2': 2, 'local:3': 1 });
    expect(claims).toHaveLength(6);
  });
});
