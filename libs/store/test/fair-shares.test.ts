import { NO_USE, toUse } from '@berth/domain';
import type { Store } from '@berth/store';
import { describe, expect, it } from 'vitest';
import { createDrawer } from './draw.js';
import { openTestStore, toClaimant, toNewJob } from './open-test-store.js';

const huge = toClaimant({ capacity: { centicpus: 1_000_000, memory_mb: 10_000_000, gpus: 0 } });

const submitAs = async (store: Store, user: string, count: number): Promise<void> => {
  for (let i = 0; i < count; i += 1) await store.jobs.accept(toNewJob({ cpus: 1 }, { user }));
};

const readUses = async (store: Store): Promise<Record<string, number>> => {
  const { at, half_life_seconds, users } = await store.shares.read();
  return Object.fromEntries(users.map(({ user, level }) => [user, toUse(level, at, half_life_seconds * 1000)]));
};

describe('fair shares', () => {
  it('serve users by their weights', async () => {
    const { store } = openTestStore('shares');
    await store.shares.setCluster({ centicpus: 10_000, memory_mb: 1_000_000, gpus: 0 });
    await store.shares.change({ weights: { alice: 3 } });
    await submitAs(store, 'alice', 40);
    await submitAs(store, 'bob', 40);
    const drawer = createDrawer(store);
    const first: string[] = [];
    for (let i = 0; i < 40; i += 1) first.push((await drawer.next(huge))?.user ?? '');
    expect(first.filter((user) => user === 'alice')).toHaveLength(30);
  });

  it('keep what users have used, and their order, when the half-life changes', async () => {
    const { store, redis } = openTestStore('shares');
    await store.shares.setCluster({ centicpus: 10_000, memory_mb: 1_000_000, gpus: 0 });
    await submitAs(store, 'alice', 5);
    await submitAs(store, 'bob', 3);
    await createDrawer(store).all(huge);
    const before = await readUses(store);
    expect(before.alice).toBeGreaterThan(1_000);
    await submitAs(store, 'alice', 1);
    await submitAs(store, 'bob', 1);
    for (const half_life_seconds of [3_600, 600, 1_000_000]) {
      await store.shares.change({ half_life_seconds });
      expect((await store.shares.read()).half_life_seconds).toBe(half_life_seconds);
      const after = await readUses(store);
      for (const user of ['alice', 'bob']) expect((after[user] ?? 0) / (before[user] ?? 1)).toBeCloseTo(1, 1);
      expect(await redis.zrange(store.keys.eligible('small'), '0', '-1')).toEqual(['bob', 'alice']);
    }
  });

  it('move those who wait when their weight changes, and forget a weight of 1', async () => {
    const { store, redis } = openTestStore('shares');
    await store.shares.setCluster({ centicpus: 10_000, memory_mb: 1_000_000, gpus: 0 });
    await submitAs(store, 'alice', 5);
    await submitAs(store, 'bob', 3);
    await createDrawer(store).all(huge);
    await submitAs(store, 'alice', 1);
    await submitAs(store, 'bob', 1);
    await store.shares.change({ weights: { alice: 2 } });
    expect(await redis.zrange(store.keys.eligible('small'), '0', '-1')).toEqual(['alice', 'bob']);
    await store.shares.change({ weights: { alice: 1, carol: 4 } });
    expect(await redis.hgetall(store.keys.weights)).toEqual({ carol: '4' });
    expect((await store.shares.read()).users.at(-1)).toEqual({ user: 'carol', weight: 4, level: NO_USE });
  });

  it('know what all machines have together, also while none is there', async () => {
    const { store } = openTestStore('shares');
    const all = { centicpus: 800, memory_mb: 4_096, gpus: 2 };
    await store.shares.setCluster(all);
    await store.shares.setCluster({ centicpus: 0, memory_mb: 0, gpus: 0 });
    expect((await store.shares.read()).cluster).toEqual(all);
  });
});
