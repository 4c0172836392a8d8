import { describe, expect, it } from 'vitest';
import { claim, openTestStore, submit, type TestStore, toClaimant, toSettlement } from './open-test-store.js';

/** Takes from a job what a version that knew no users and shapes did not write. */
const makeOld = async ({ redis, store, prefix }: TestStore, job_id: string): Promise<void> => {
  const key = store.keys.job(job_id);
  await redis.hdel(key, 'user', 'shape', 'claimed_at', 'share', 'charged', 'ticket');
  const indexes = ['eligible:small', 'tickets:small', 'tally', 'shares', 'classes'].map((name) => `${prefix}:${name}`);
  const found = await redis.keys(`${prefix}:{shapes,queue}:*`);
  const queues = [...(await redis.keys(`${prefix}:shapes:*`)), ...(await redis.keys(`${prefix}:queue:*`)), ...found];
  await redis.del(...indexes, ...queues);
};

describe('upgrade', () => {
  it('lets a job that waited before be drawn, whether or not it had a message', async () => {
    const test = openTestStore('upgrade-pending');
    const ids = [await submit(test.store), await submit(test.store)];
    await test.store.backlog.dispatch('small', 1, 1);
    for (const id of ids) await makeOld(test, id);
    await test.store.upgrade();
    const tickets = await test.store.backlog.dispatch('small', 10, 10);
    expect(tickets.map(({ job_id }) => job_id).sort()).toEqual([...ids].sort());
    for (const { ticket } of tickets) {
      expect(await test.store.claims.draw('small', ticket, toClaimant())).toMatchObject({ kind: 'claimed' });
    }
    expect(await test.redis.hgetall(test.store.keys.tally)).toMatchObject({ 'user/local|running': '2' });
  });

  it('lets a job that ran before end, and counts it while it runs', async () => {
    const test = openTestStore('upgrade-running');
    const job_id = await submit(test.store);
    const held = await claim(test.store, job_id);
    await test.store.claims.start(held, 'sha256:abc');
    await makeOld(test, job_id);
    await test.store.upgrade();
    expect(await test.redis.hgetall(test.store.keys.tally)).toMatchObject({ 'user/local|running': '1' });
    expect(await test.store.claims.settle(held, toSettlement('completed'))).toMatchObject({ state: 'completed' });
    expect(await test.redis.hgetall(test.store.keys.tally)).toEqual({});
  });

  it('leaves a job that waits for its next attempt waiting', async () => {
    const test = openTestStore('upgrade-due');
    const job_id = await submit(test.store);
    await test.store.claims.settle(
      await claim(test.store, job_id),
      toSettlement('retried', { delay_ms: 60_000, exit_code: 1 }),
    );
    await makeOld(test, job_id);
    await test.store.upgrade();
    expect(await test.store.backlog.dispatch('small', 10, 10)).toEqual([]);
    expect(await test.store.jobs.read(job_id)).toMatchObject({ state: 'pending', user: 'local' });
  });

  it('changes nothing the second time', async () => {
    const test = openTestStore('upgrade-twice');
    const job_id = await submit(test.store);
    await makeOld(test, job_id);
    await test.store.upgrade();
    await test.redis.hdel(test.store.keys.settings, 'records');
    await test.store.upgrade();
    expect(await test.redis.hgetall(test.store.keys.tally)).toMatchObject({ 'user/local|pending': '1' });
  });
});
