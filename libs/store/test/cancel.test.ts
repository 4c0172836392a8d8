import { createStore, openChannels, openRedis } from '@berth/store';
import { describe, expect, it, onTestFinished } from 'vitest';
import {
  claim,
  historyOf,
  openTestRedis,
  openTestStore,
  redisUrl,
  submit,
  toClaimant,
  toSettlement,
} from './open-test-store.js';
import { waitUntil } from './wait-until.js';

describe('cancel', () => {
  it('ends a pending job at once, and says the same again', async () => {
    const { redis, store } = openTestStore('cancel');
    const id = await submit(store);
    await store.backlog.dispatch('small', 10, 10);
    expect(await store.jobs.cancel(id)).toEqual({ kind: 'cancelled', class: 'small', ticket: `${id}-1` });
    expect(await store.jobs.cancel(id)).toEqual({ kind: 'cancelled', class: 'small', ticket: null });
    expect(await store.jobs.read(id)).toMatchObject({ state: 'cancelled', cause: 'cancelled', epoch: 0 });
    expect(await historyOf(store, id)).toEqual(['submitted', 'cancelled']);
    expect(await redis.zcard(store.keys.dispatched('small'))).toBe(0);
    expect((await store.readTotals()).finished).toMatchObject([{ state: 'cancelled', count: 1 }]);
  });

  it('ends a job that waits for its next attempt, which then never comes', async () => {
    const { redis, store } = openTestStore('cancel');
    const id = await submit(store, { max_attempts: 3 });
    await store.claims.settle(await claim(store, id), toSettlement('retried', { delay_ms: 0 }));
    expect((await store.jobs.cancel(id)).kind).toBe('cancelled');
    expect(await store.backlog.releaseDue()).toEqual([]);
    expect(await redis.zcard(store.keys.backlog('small'))).toBe(0);
    expect((await store.jobs.read(id))?.state).toBe('cancelled');
  });

  it('tells the worker of a running job, which hears it on each of three ways', async () => {
    const { store } = openTestStore('cancel');
    const id = await submit(store);
    const held = await claim(store, id);
    const channels = openChannels(openRedis(redisUrl(), 'blocking'));
    onTestFinished(channels.close);
    const heard: string[] = [];
    await channels.subscribe(store.keys.engineChannel('engine-1'), (message) => heard.push(message));
    expect(await store.jobs.cancel(id)).toEqual({ kind: 'requested' });
    expect(await store.jobs.cancel(id)).toEqual({ kind: 'requested' });
    await waitUntil('the cancel was heard', () => heard.includes(`cancel ${id}`));
    expect(await store.claims.renew([held])).toEqual(['cancel']);
    expect(await store.claims.start(held, 'sha256:abc')).toBe('cancel');
    expect(await store.jobs.read(id)).toMatchObject({ state: 'running', cancel_requested: true });
    expect(await historyOf(store, id)).toEqual(['submitted', 'claimed', 'cancel_requested', 'started']);
  });

  it.each(['completed', 'failed', 'retried', 'released', 'lost'] as const)(
    'once it was answered wins over %s',
    async (type) => {
      const { store } = openTestStore('cancel');
      const id = await submit(store);
      const held = await claim(store, id);
      await store.jobs.cancel(id);
      expect(await store.claims.settle(held, toSettlement(type))).toEqual({ kind: 'settled', state: 'cancelled' });
      expect(await store.jobs.read(id)).toMatchObject({ state: 'cancelled', cause: 'cancelled' });
    },
  );

  it('wins over the loss of the worker as well', async () => {
    const { redis, store } = openTestStore('cancel');
    const id = await submit(store);
    await claim(store, id);
    await store.jobs.cancel(id);
    await redis.zadd(store.keys.leases, 1, id);
    expect(await store.claims.expire(Date.now())).toEqual([id]);
    expect((await store.jobs.read(id))?.state).toBe('cancelled');
  });

  it('of a job that has ended says how, and of none says so', async () => {
    const { store } = openTestStore('cancel');
    const id = await submit(store);
    await store.claims.settle(await claim(store, id), toSettlement('completed'));
    expect(await store.jobs.cancel(id)).toEqual({ kind: 'finished', state: 'completed' });
    expect(await store.jobs.cancel('missing')).toEqual({ kind: 'missing' });
  });
});

const ENDS = ['completed', 'failed', 'retried', 'released', 'lost'] as const;

describe('cancel against the end, 500 times', () => {
  it('gives one end, and the answer to the cancel agrees with it', async () => {
    const { store, prefix } = openTestStore('cancel');
    const other = createStore(openTestRedis(), prefix);
    const answers = new Set<string>();
    const roomy = toClaimant({ capacity: { centicpus: 10_000, memory_mb: 100_000, gpus: 0 } });
    const race = async (i: number): Promise<void> => {
      const id = await submit(store);
      const held = await claim(store, id, roomy);
      const wait = async (turns: number) => {
        for (let turn = 0; turn < turns; turn++) await new Promise(setImmediate);
      };
      const type = ENDS[i % ENDS.length] ?? 'completed';
      const [answer] = await Promise.all([
        wait(Math.floor(Math.random() * 4)).then(() => other.jobs.cancel(id)),
        wait(Math.floor(Math.random() * 4)).then(() => store.claims.settle(held, toSettlement(type))),
      ]);
      answers.add(`${answer.kind} ${type}`);
      const { state } = (await store.jobs.read(id)) ?? {};
      expect(state).toBe(answer.kind === 'finished' ? answer.state : 'cancelled');
      const ends = (await historyOf(store, id)).filter((event) => ['completed', 'failed', 'cancelled'].includes(event));
      expect(ends).toEqual([state]);
    };
    for (let i = 0; i < 500; i += 20) await Promise.all(Array.from({ length: 20 }, (_, k) => race(i + k)));
    expect([...answers]).toEqual(expect.arrayContaining(['requested completed', 'finished completed']));
    expect([...answers]).toEqual(expect.arrayContaining(['requested lost', 'cancelled lost']));
    expect(await store.workers.readReserved('engine-1')).toEqual({ centicpus: 0, memory_mb: 0, gpus: 0 });
    expect(await store.list.countByState(['pending', 'running'])).toEqual({ pending: 0, running: 0 });
  }, 120_000);
});
