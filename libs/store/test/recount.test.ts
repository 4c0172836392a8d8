import type { Gpu } from '@berth/domain';
import type { Store } from '@berth/store';
import { describe, expect, it } from 'vitest';
import { createScripts } from '../src/scripts.js';
import { claim, openTestStore, submit, toClaimant, toNewJob, toSettlement } from './open-test-store.js';

const gpus: Gpu[] = [0, 1].map((index) => ({ index, uuid: `GPU-${index}`, name: 'T4', memory_mb: 16_000 }));
const machine = toClaimant({ capacity: { centicpus: 10_000, memory_mb: 100_000, gpus: 2 }, gpus });

const submitSome = async (store: Store, count: number, user = 'local'): Promise<string[]> => {
  const ids: string[] = [];
  for (let i = 0; i < count; i += 1) ids.push((await store.jobs.accept(toNewJob({}, { user }))).job_id);
  return ids;
};

const toClaims = (store: Store, ids: string[]) => Promise.all(ids.map((id) => claim(store, id, machine)));

describe('a recount', () => {
  it('finds nothing where nothing is wrong, and changes nothing', async () => {
    const { store, redis } = openTestStore('recount');
    const ids = [...(await submitSome(store, 5)), ...(await submitSome(store, 5, 'alice'))];
    await toClaims(store, ids.slice(3, 7));
    await store.control.hold(ids[9] ?? '');
    const { job_id } = await store.jobs.accept(toNewJob({ gpus: { count: 1, memory_mb: 1_000 } }));
    await claim(store, job_id, machine);
    await redis.zadd(store.keys.engines, Date.now(), machine.engine);
    const read = async () => [
      await redis.hgetall(store.keys.tally),
      await redis.hgetall(store.keys.reserved(machine.engine)),
      await redis.hgetall(store.keys.gpusOf(machine.engine)),
    ];
    const before = await read();
    expect(await store.counts.recount()).toEqual([]);
    expect(await read()).toEqual(before);
    expect(await redis.exists(store.keys.recount, store.keys.recountTally)).toBe(0);
  });

  it('puts right what leaked, and says what it was', async () => {
    const { store, redis } = openTestStore('recount');
    const ids = await submitSome(store, 6);
    await toClaims(store, ids.slice(0, 2));
    await redis.hincrby(store.keys.tally, 'user/local|running', 3);
    await redis.hincrby(store.keys.tally, 'class/small|pending', -2);
    await redis.hset(store.keys.tally, 'user/gone|centicpus', 100);
    await redis.hdel(store.keys.tally, 'class/small|memory_mb');
    expect(await store.counts.recount()).toEqual(
      expect.arrayContaining([
        { where: 'tally', field: 'user/local|running', said: '5', is: '2' },
        { where: 'tally', field: 'class/small|pending', said: '2', is: '4' },
        { where: 'tally', field: 'user/gone|centicpus', said: '100', is: '0' },
        { where: 'tally', field: 'class/small|memory_mb', said: '0', is: '512' },
      ]),
    );
    expect(await store.counts.recount()).toEqual([]);
  });

  it('lets those run again whom a leaked count held back', async () => {
    const { store, redis } = openTestStore('recount');
    await store.quotas.set({ user: 'local' }, { max_running: 2, max_pending: 3 });
    await redis.hset(store.keys.tally, 'user/local|running', 2, 'user/local|pending', 3);
    await expect(submit(store)).rejects.toMatchObject({ code: 'over_quota' });
    await store.counts.recount();
    await claim(store, await submit(store), machine);
  });

  it('is exact whatever happens while it is under way', async () => {
    const { store, redis, prefix } = openTestStore('recount');
    const scripts = createScripts(redis, prefix);
    const step = async () => ((await scripts.run('recount', 3)) as string[])[0];
    const ids = await submitSome(store, 20);
    const claims = await toClaims(store, ids.slice(0, 10));
    await redis.hincrby(store.keys.tally, 'user/local|running', 7);
    const happen = [
      async () => void (await store.claims.settle(claims[0] as never, toSettlement('completed'))),
      async () => void (await store.claims.settle(claims[9] as never, toSettlement('completed'))),
      async () => void (await store.claims.settle(claims[1] as never, toSettlement('released'))),
      async () => void (await store.jobs.cancel(ids[12] ?? '')),
      async () => void (await claim(store, ids[15] ?? '', machine)),
      async () => void (await submit(store)),
    ];
    let steps = 1;
    for (let said = await step(); said === 'going'; said = await step()) {
      steps += 1;
      await happen.shift()?.();
    }
    expect(steps).toBeGreaterThan(6);
    expect(happen).toEqual([]);
    expect(await redis.hgetall(store.keys.tally)).toEqual(
      expect.objectContaining({
        'user/local|running': '8',
        'user/local|pending': '10',
        'class/small|centicpus': '800',
      }),
    );
    expect(await store.counts.recount()).toEqual([]);
  });

  it('goes on where another one was left', async () => {
    const { store } = openTestStore('recount');
    await submitSome(store, 450);
    let looks = 0;
    expect(await store.counts.recount(() => ++looks > 1)).toEqual([]);
    expect(await store.counts.recount()).toEqual([]);
  });

  it('mends the ledger of an engine and who holds its GPUs', async () => {
    const { store, redis } = openTestStore('recount');
    const ask = { gpus: { count: 1 } };
    const { job_id } = await store.jobs.accept(toNewJob(ask));
    await claim(store, job_id, machine);
    await claim(store, await submit(store), machine);
    await redis.zadd(store.keys.engines, Date.now(), machine.engine);
    const ledger = store.keys.reserved(machine.engine);
    await redis.hincrby(ledger, 'centicpus', 500);
    await redis.hset(ledger, 'gpus', 2);
    await redis.hset(store.keys.gpusOf(machine.engine), 'GPU-1', 'ghost=0;');
    await redis.sadd(store.keys.runningOn(machine.engine), 'ghost');
    const where = `engine ${machine.engine}`;
    expect(await store.counts.recount()).toEqual([
      { where, field: 'centicpus', said: '700', is: '200' },
      { where, field: 'gpus', said: '2', is: '1' },
      { where, field: 'GPU-1', said: 'ghost=0;', is: '' },
    ]);
    expect(await redis.sismember(store.keys.runningOn(machine.engine), 'ghost')).toBe(0);
    expect(await store.counts.recount()).toEqual([]);
  });
});
