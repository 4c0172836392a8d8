import { describe, expect, it } from 'vitest';
import { claim, openTestStore, submit, toSettlement } from './open-test-store.js';

describe('what a job uses', () => {
  const usage = {
    at: 1,
    cpu_seconds: 2.5,
    memory_peak_bytes: 3,
    network_rx_bytes: null,
    network_tx_bytes: 5,
    block_read_bytes: 6,
    block_write_bytes: 7,
  };

  it('stands in its record while it runs, one sample in place of the other, and in its attempt afterwards', async () => {
    const { store } = openTestStore('usage');
    const held = await claim(store, await submit(store));
    expect(await store.claims.noteUsage([{ held, usage: { ...usage, at: 0 } }])).toBe(1);
    expect(await store.claims.noteUsage([{ held, usage }])).toBe(1);
    expect((await store.jobs.read(held.job_id))?.usage).toEqual(usage);
    const last = { ...usage, at: 2, cpu_seconds: 3 };
    await store.claims.settle(held, toSettlement('completed', { usage: last }));
    expect(await store.jobs.read(held.job_id)).toMatchObject({ usage: null, attempts: [{ usage: last }] });
  });

  it('is the last that was noted where the end brings none, as when its machine is lost', async () => {
    const { store, redis } = openTestStore('usage');
    const held = await claim(store, await submit(store));
    await store.claims.noteUsage([{ held, usage }]);
    await redis.zadd(store.keys.leases, 1, held.job_id);
    const [seconds] = (await redis.time()) as unknown as [string];
    await store.claims.expire(Number(seconds) * 1_000 + 1_000);
    expect(await store.jobs.read(held.job_id)).toMatchObject({ usage: null, attempts: [{ usage }] });
    const again = await claim(store, held.job_id);
    expect((await store.jobs.read(held.job_id))?.usage).toBeNull();
    await store.claims.settle(again, toSettlement('completed'));
    expect((await store.jobs.read(held.job_id))?.attempts[1]).not.toHaveProperty('usage');
  });

  it('is not noted by a worker that does not own the job any more', async () => {
    const { store } = openTestStore('usage');
    const held = await claim(store, await submit(store));
    const other = await claim(store, await submit(store));
    const samples = [
      { held: { ...held, epoch: held.epoch + 1 }, usage },
      { held: other, usage },
    ];
    expect(await store.claims.noteUsage(samples)).toBe(1);
    expect(await store.claims.noteUsage([{ held: { ...held, owner: 'another' }, usage }])).toBe(0);
    expect((await store.jobs.read(held.job_id))?.usage).toBeNull();
    expect((await store.jobs.read(other.job_id))?.usage).toEqual(usage);
  });
});
