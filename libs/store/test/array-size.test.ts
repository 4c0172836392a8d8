import { describe, expect, it } from 'vitest';
import { add, end, entriesOf, expandAll, read } from './array-steps.js';
import { findKeys, openTestStore } from './open-test-store.js';

describe('a million indices', () => {
  it('cost what the window costs, and less than 5 MB also when all have ended', async () => {
    const { redis, store, prefix } = openTestStore('arrays');
    const usedMemory = async () => Number(/^used_memory:(\d+)/m.exec(await redis.info('memory'))?.[1]);
    const bytesOf = async () => {
      const sizes = await Promise.all(
        (await findKeys(redis, `${prefix}:*`)).map((key) => redis.memory('USAGE', key, 'SAMPLES', 0)),
      );
      return sizes.reduce<number>((sum, size) => sum + (size ?? 0), 0);
    };
    const used = await usedMemory();
    const id = await add(store, { size: 1_000_000, max_running: 1_000 });
    expect(await bytesOf()).toBeLessThan(5_000);
    expect(await expandAll(store, id)).toBe(256);
    expect(await bytesOf()).toBeLessThan(1_000_000);
    await end(store, id, 10, 'failed');
    await store.arrays.rerun(id);
    await expandAll(store, id);
    await end(store, id, 11);
    expect(await store.arrays.cancel(id, 'begin', 1_000)).toMatchObject({ left: 0 });
    expect(await read(store, id)).toMatchObject({ state: 'cancelled', counts: { completed: 1, cancelled: 999_999 } });
    expect(await bytesOf()).toBeLessThan(2_000_000);
    expect((await usedMemory()) - used).toBeLessThan(5_000_000);
  });

  it('are listed page by page, by state, without reading them all', async () => {
    const { redis, store } = openTestStore('arrays');
    const id = await add(store, { size: 1_000_000 });
    await store.arrays.cancel(id, 'begin');
    for (const index of [3, 65_536, 999_999]) {
      await redis.setbit(store.keys.arrayBits(id, 'cancelled'), index, 0);
      await redis.setbit(store.keys.arrayBits(id, 'failed'), index, 1);
    }
    const found: number[] = [];
    let pages = 0;
    for (let from: number | null = 0; from !== null; pages++) {
      const page = await store.arrayList.readEntries(await read(store, id), { state: 'failed', limit: 2, from });
      found.push(...page.entries.map(({ index }) => index));
      from = page.next;
    }
    expect(found).toEqual([3, 65_536, 999_999]);
    expect(pages).toBeLessThan(20);
    const second = await store.arrayList.readEntries(await read(store, id), { state: 'cancelled', limit: 2, from: 2 });
    expect(second).toMatchObject({ entries: [{ index: 2 }, { index: 4 }], next: 5 });
  });
});

describe('forgetting an array', () => {
  it('leaves nothing of it, and its counts and its list outlive its jobs until then', async () => {
    const { redis, store, prefix } = openTestStore('arrays');
    const id = await add(store, { values: ['a', 'b'], max_running: 1 }, {}, { user: 'alice' });
    await expandAll(store, id);
    await end(store, id, 0, 'failed');
    expect(await store.retention.forget(Date.now() + 1_000)).toBe(1);
    expect(await store.retention.forgetArrays(Date.now() + 1_000)).toBe(0);
    expect(await entriesOf(store, id, 'failed')).toEqual([{ index: 0, state: 'failed', job_id: null }]);
    await end(store, id, 1);
    await store.retention.forget(Date.now() + 1_000);
    expect(await store.retention.forgetArrays(Date.now() - 60_000)).toBe(0);
    expect(await store.retention.forgetArrays(Date.now() + 1_000)).toBe(1);
    expect(await findKeys(redis, `*${id}*`)).toEqual([]);
    expect(await redis.hgetall(store.keys.quotas)).toEqual({});
    const left = (await findKeys(redis, `${prefix}:*`)).map((key) => key.slice(prefix.length));
    expect(left.filter((key) => /array|alice|dependants|unmet/.test(key))).toEqual([]);
  });
});
