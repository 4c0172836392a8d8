import { openChannels, openRedis, type Store } from '@berth/store';
import { describe, expect, it, onTestFinished } from 'vitest';
import {
  openTestStore,
  redisUrl,
  submit,
  type TestStore,
  toClaimant,
  toNewJob,
  toSettlement,
} from './open-test-store.js';
import { waitUntil } from './wait-until.js';

const WIDE = toClaimant({ capacity: { centicpus: 100_000, memory_mb: 1_000_000, gpus: 0 } });

const dispatch = async (store: Store, count = 10): Promise<string[]> =>
  (await store.backlog.dispatch('small', count, count)).map(({ ticket }) => ticket);

const drawn = async (store: Store, ticket = '', by = WIDE): Promise<string> => {
  const reply = await store.claims.draw('small', ticket, by);
  return reply.kind === 'claimed' ? reply.claim.job_id : reply.kind;
};

const ticketsOf = ({ store, redis }: TestStore) => redis.hgetall(store.keys.tickets('small'));

describe('a ticket', () => {
  it('draws the best job by then, whose own ticket goes to the job that it was issued for', async () => {
    const open = openTestStore('draws');
    const { store } = open;
    const [low, high] = [await submit(store, { priority: 10 }), await submit(store, { priority: 90 })];
    const [ofHigh, ofLow] = await dispatch(store);
    expect([ofHigh, ofLow]).toEqual([`${high}-1`, `${low}-1`]);
    expect(await drawn(store, ofLow)).toBe(high);
    expect(await ticketsOf(open)).toEqual({ [`${high}-1`]: low });
    expect(await drawn(store, ofLow)).toBe('gone');
    expect(await drawn(store, ofHigh)).toBe(low);
    expect(await ticketsOf(open)).toEqual({});
  });

  it('that is passed on takes along when its message was last looked for, so that a lost one is found in time', async () => {
    const { store, redis } = openTestStore('draws');
    const [low, high] = [await submit(store, { priority: 10 }), await submit(store, { priority: 90 })];
    const [ofHigh, ofLow] = await dispatch(store);
    await redis.zadd(store.keys.dispatched('small'), 1, high);
    expect(await drawn(store, ofLow)).toBe(high);
    expect(await store.backlog.overdue('small', 60_000)).toEqual([{ job_id: low, ticket: ofHigh }]);
  });

  it('used for a job that had none sends the one that it was issued for back to wait for another', async () => {
    const open = openTestStore('draws');
    const { store } = open;
    const first = await submit(store);
    const [ticket] = await dispatch(store);
    const urgent = await submit(store, { priority: 100 });
    expect(await drawn(store, ticket)).toBe(urgent);
    expect(await ticketsOf(open)).toEqual({});
    expect(await dispatch(store)).toEqual([`${first}-2`]);
  });

  it('of a job that has ended is of no use, and takes nothing from anyone', async () => {
    const open = openTestStore('draws');
    const { store } = open;
    const [first, second] = [await submit(store), await submit(store)];
    const [ticket] = await dispatch(store);
    await store.jobs.cancel(first);
    expect(await drawn(store, ticket)).toBe('gone');
    expect(await ticketsOf(open)).toEqual({ [`${second}-1`]: second });
  });

  it('that is found missing too late, as it was passed on, costs the job nothing', async () => {
    const open = openTestStore('draws');
    const { store } = open;
    const [low, high] = [await submit(store, { priority: 10 }), await submit(store, { priority: 90 })];
    const [, ofLow] = await dispatch(store);
    expect(await drawn(store, ofLow)).toBe(high);
    await store.backlog.redispatch(low, 'small', ofLow);
    expect(await ticketsOf(open)).toEqual({ [`${high}-1`]: low });
    await store.backlog.redispatch(low, 'small', `${high}-1`);
    expect(await ticketsOf(open)).toEqual({});
    expect(await dispatch(store)).toEqual([`${low}-2`]);
  });
});

describe('a queue that holds what is not pending', () => {
  it('gives nobody a job that runs or is gone: the record decides, and the queue is put right', async () => {
    const open = openTestStore('draws');
    const { store, redis } = open;
    const [running, gone, pending] = [await submit(store), await submit(store), await submit(store)];
    const [ticket] = await dispatch(store);
    await redis.hset(store.keys.job(running), 'state', 'running');
    await redis.del(store.keys.job(gone));
    expect(await drawn(store, ticket)).toBe(pending);
    expect((await store.jobs.read(running))?.epoch).toBe(0);
    expect(await redis.exists(store.keys.job(gone))).toBe(0);
    expect(await redis.zcard(store.keys.eligible('small'))).toBe(0);
    expect(await redis.zcard(store.keys.dispatched('small'))).toBe(0);
  });
});

describe('a draw that is sent again', () => {
  it('gets the answer that it lost', async () => {
    const { store } = openTestStore('draws');
    await submit(store);
    await submit(store);
    const [ticket = ''] = await dispatch(store);
    const first = await store.claims.draw('small', ticket, WIDE, 'call-1');
    expect(first.kind).toBe('claimed');
    expect(await store.claims.draw('small', ticket, WIDE, 'call-1')).toEqual(first);
  });

  it('does not get a later epoch of the job, which another call of the worker has', async () => {
    const { store } = openTestStore('draws');
    await submit(store);
    const [ticket = ''] = await dispatch(store);
    const first = await store.claims.draw('small', ticket, WIDE, 'call-1');
    if (first.kind !== 'claimed') throw new Error('not claimed');
    await store.claims.settle(first.claim, toSettlement('released'));
    const [next = ''] = await dispatch(store);
    const second = await store.claims.draw('small', next, WIDE, 'call-2');
    expect(second).toMatchObject({ kind: 'claimed', claim: { epoch: 2 } });
    expect(await store.claims.draw('small', ticket, WIDE, 'call-1')).toEqual({ kind: 'gone', state: 'running' });
  });
});

describe('an engine that is reserved', () => {
  it('runs what is gone by then or fits beside it, which takes of what is left over, and at last the job itself', async () => {
    const { store, redis } = openTestStore('draws');
    const by = toClaimant();
    const key = store.keys.reservation(by.engine);
    const big = await submit(store, { cpus: 4, priority: 100 });
    const left = { centicpus: 150, memory_mb: 1_000, gpus: 0 };
    await redis.hset(key, { job: 'somebody', at: Date.now() + 600_000, ...left });
    const long = { timeout_seconds: 3_600 };
    const [beside, tooMuch, short] = [
      await submit(store, { ...long, cpus: 1, memory_mb: 100 }),
      await submit(store, { ...long, cpus: 0.75, memory_mb: 100 }),
      await submit(store, { timeout_seconds: 60, cpus: 2 }),
    ];
    const tickets = await dispatch(store);
    expect(await drawn(store, tickets[0], by)).toBe(beside);
    expect(await redis.hgetall(key)).toMatchObject({ centicpus: '50', memory_mb: '900' });
    expect(await drawn(store, tickets[1], by)).toBe(short);
    expect(await redis.hgetall(key)).toMatchObject({ centicpus: '50', memory_mb: '900' });
    expect(await drawn(store, tickets[2], by)).toBe('none');
    expect((await store.jobs.read(tooMuch))?.state).toBe('pending');

    const other = toClaimant({ engine: 'engine-2' });
    await redis.hset(store.keys.reservation('engine-2'), {
      job: big,
      at: Date.now(),
      centicpus: 0,
      memory_mb: 0,
      gpus: 0,
    });
    expect(await drawn(store, tickets[2], other)).toBe(big);
    expect(await redis.exists(store.keys.reservation('engine-2'))).toBe(0);
  });
});

describe('a look among many shapes', () => {
  const submitMany = (store: Store, user: string, count: number, toFields: (i: number) => Record<string, unknown>) =>
    Promise.all(Array.from({ length: count }, (_, i) => store.jobs.accept(toNewJob(toFields(i), { user }))));

  it('finds the one that runs, however many before it do not', async () => {
    const { store } = openTestStore('draws');
    await submitMany(store, 'alice', 400, (i) => ({ memory_mb: 100 + i, node_selector: { disk: 'none' } }));
    const { job_id } = await store.jobs.accept(toNewJob({ priority: 0 }, { user: 'alice' }));
    const [ticket] = await dispatch(store);
    expect(await drawn(store, ticket)).toBe(job_id);
  });

  it('goes through every user, though the first have hundreds that run nowhere', async () => {
    const { store } = openTestStore('draws');
    for (const user of ['alice', 'bob']) {
      await submitMany(store, user, 600, (i) => ({ memory_mb: 100 + i, node_selector: { disk: 'none' } }));
    }
    await submitMany(store, 'carol', 1, () => ({ memory_mb: 500_000 }));
    const { job_id } = await store.jobs.accept(toNewJob({}, { user: 'zoe' }));
    const [ticket] = await dispatch(store);
    const narrow = toClaimant();
    expect(await drawn(store, ticket, narrow)).toBe(job_id);
  });
});

describe('whoever found nothing', () => {
  it('is told when something comes', async () => {
    const { store, redis } = openTestStore('draws');
    await submit(store, { node_selector: { disk: 'ssd' } });
    const [ticket] = await dispatch(store);
    expect(await drawn(store, ticket)).toBe('none');
    expect(await redis.smembers(store.keys.hungry('small'))).toEqual([WIDE.engine]);
    const channels = openChannels(openRedis(redisUrl(), 'blocking'));
    onTestFinished(channels.close);
    const heard: string[] = [];
    await channels.subscribe(store.keys.engineChannel(WIDE.engine), (message) => heard.push(message));
    const { job_id } = await store.jobs.accept(toNewJob());
    await waitUntil('it was told', () => heard.includes('room'));
    expect(await drawn(store, ticket)).toBe(job_id);
  });

  it('is told nothing of a class that it has no use for, and takes nothing while it is drained', async () => {
    const { store, redis } = openTestStore('draws');
    await submit(store);
    const [ticket] = await dispatch(store);
    await redis.sadd(store.keys.drained, WIDE.node);
    expect(await drawn(store, ticket)).toBe('none');
    expect(await store.claims.claim('missing', WIDE)).toEqual({ kind: 'gone', state: 'missing' });
    expect(await redis.exists(store.keys.hungry(''))).toBe(0);
    await redis.srem(store.keys.drained, WIDE.node);
    expect(await drawn(store, ticket)).not.toBe('none');
  });
});
