import type { Condition } from '@berth/domain';
import type { Settlement, Store } from '@berth/store';
import { createJobId } from '@berth/store';
import { describe, expect, it } from 'vitest';
import {
  claim,
  findKeys,
  historyOf,
  openTestStore,
  submit,
  toClaimant,
  toNewJob,
  toSettlement,
} from './open-test-store.js';

const behind = (...ids: string[]) => ({ after: ids.map((job) => ({ job, condition: 'completed' })) });
const on = (job: string, condition: Condition) => ({ after: [{ job, condition }] });

const end = async (store: Store, job_id: string, type: Settlement['type'] = 'completed') =>
  store.claims.settle(await claim(store, job_id), toSettlement(type));

const stateOf = async (store: Store, job_id: string) => {
  const job = await store.jobs.read(job_id);
  return { state: job?.state, cause: job?.cause, after_left: job?.after_left };
};

const waiting = (after_left: number) => ({ state: 'pending', cause: null, after_left });
const FREE = waiting(0);
const CUT_OFF = { state: 'cancelled', cause: 'dependency_failed', after_left: expect.any(Number) };

/** What a worker with a ticket would get. */
const drawAny = async (store: Store) => {
  const [dispatch] = await store.backlog.dispatch('small', 10, 1);
  if (!dispatch) return 'no ticket';
  const reply = await store.claims.draw('small', dispatch.ticket, toClaimant());
  return reply.kind === 'claimed' ? reply.claim.job_id : reply.kind;
};

describe('a job that is to run after others', () => {
  it('is in no queue until the last of them has ended, and then waits for a machine', async () => {
    const { store } = openTestStore('after');
    const [a, b] = [await submit(store), await submit(store)];
    const child = await submit(store, behind(a, b));
    expect(await stateOf(store, child)).toEqual(waiting(2));
    expect((await store.claims.claim(child, toClaimant())).kind).toBe('gone');
    await end(store, a);
    expect(await stateOf(store, child)).toEqual(waiting(1));
    expect(await store.list.countQueued('small')).toEqual({ backlog: 1, dispatched: 0 });
    await end(store, b);
    expect(await stateOf(store, child)).toEqual(FREE);
    expect(await drawAny(store)).toBe(child);
    expect(await historyOf(store, child)).toEqual(['submitted', 'ready', 'claimed']);
  });

  it.each<[Condition, Settlement['type'], 'free' | 'cut off']>([
    ['completed', 'completed', 'free'],
    ['completed', 'failed', 'cut off'],
    ['failed', 'failed', 'free'],
    ['failed', 'completed', 'cut off'],
    ['finished', 'completed', 'free'],
    ['finished', 'failed', 'free'],
  ])(
    'that asks for %s is, where the other one ends as %s, %s: whether it came before the end or after',
    async (condition, type, fate) => {
      const { store } = openTestStore('after');
      const parent = await submit(store);
      const before = await submit(store, on(parent, condition));
      await end(store, parent, type);
      const later = await submit(store, on(parent, condition));
      for (const child of [before, later])
        expect(await stateOf(store, child)).toEqual(fate === 'free' ? FREE : CUT_OFF);
    },
  );

  it('counts a cancelled one as ended, and neither as completed nor as failed', async () => {
    const { store } = openTestStore('after');
    const parent = await submit(store);
    const children = [await submit(store, on(parent, 'finished')), await submit(store, on(parent, 'failed'))];
    await store.jobs.cancel(parent);
    expect(await stateOf(store, children[0] ?? '')).toEqual(FREE);
    expect(await stateOf(store, children[1] ?? '')).toEqual(CUT_OFF);
    const cut = await store.jobs.read(children[1] ?? '');
    expect(cut?.message).toBe(`It was to run after ${parent} had failed, which ended as cancelled.`);
  });

  it('ends at once where it can never run, and says so when it is accepted', async () => {
    const { store } = openTestStore('after');
    const parent = await submit(store);
    await end(store, parent, 'failed');
    const accepted = await store.jobs.accept(toNewJob(behind(parent)));
    expect(accepted).toMatchObject({ ended: true, after_left: 0 });
    expect(await historyOf(store, accepted.job_id)).toEqual(['submitted', 'cancelled']);
    expect(await store.list.countQueued('small')).toEqual({ backlog: 0, dispatched: 0 });
  });

  it('is refused where the other one is not there, is forgotten or is somebody else’s, and leaves nothing behind', async () => {
    const { redis, store, prefix } = openTestStore('after');
    const foreign = (await store.jobs.accept(toNewJob({}, { user: 'alice' }))).job_id;
    const forgotten = await submit(store);
    await end(store, forgotten);
    await store.retention.forget(Date.now() + 1_000);
    const live = await submit(store);
    const keysBefore = (await findKeys(redis, `${prefix}:*`)).sort();
    for (const id of [foreign, forgotten, createJobId(Date.now())]) {
      const refused = store.jobs.accept(toNewJob(behind(live, id)));
      await expect(refused).rejects.toMatchObject({
        code: 'dependency_not_found',
        problems: [{ path: '$.after[1].job', message: 'is not a job or an array of yours' }],
      });
    }
    expect((await findKeys(redis, `${prefix}:*`)).sort()).toEqual(keysBefore);
  });

  it('stays back while someone holds it, and while another one of several is open when it is released', async () => {
    const { store } = openTestStore('after');
    const parent = await submit(store);
    const child = (await store.jobs.accept(toNewJob(behind(parent), { hold: true }))).job_id;
    await end(store, parent);
    expect(await stateOf(store, child)).toEqual(FREE);
    expect(await store.list.countQueued('small')).toEqual({ backlog: 0, dispatched: 0 });
    await store.control.unhold(child);
    expect(await drawAny(store)).toBe(child);
  });

  it('loses no patience before it may run: the time that it may wait for a machine counts from then', async () => {
    const { redis, store } = openTestStore('after');
    const parent = await submit(store);
    const child = (await store.jobs.accept(toNewJob(behind(parent), { queue_timeout_seconds: 60 }))).job_id;
    expect(await redis.zscore(store.keys.queueDeadlines, child)).toBeNull();
    const before = Date.now();
    await end(store, parent);
    expect(Number(await redis.zscore(store.keys.queueDeadlines, child))).toBeGreaterThanOrEqual(before + 60_000 - 50);
  });

  it('can be cancelled meanwhile, and the end of the other one leaves it so', async () => {
    const { store } = openTestStore('after');
    const parent = await submit(store);
    const child = await submit(store, behind(parent));
    expect(await store.jobs.cancel(child)).toMatchObject({ kind: 'cancelled' });
    await end(store, parent);
    expect(await stateOf(store, child)).toMatchObject({ state: 'cancelled', cause: 'cancelled' });
    expect(await store.list.countQueued('small')).toEqual({ backlog: 0, dispatched: 0 });
  });
});

describe('a graph of jobs', () => {
  it('is cut off link by link behind a failure, a bounded piece at a time, and leaves no key behind', async () => {
    const { redis, store, prefix } = openTestStore('after');
    const chain = [await submit(store)];
    for (let i = 1; i <= 250; i++) chain.push(await submit(store, behind(chain.at(-1) ?? '')));
    await end(store, chain[0] ?? '', 'failed');
    const cutOff = async () => redis.zcard(store.keys.jobsInState('cancelled'));
    expect(await cutOff()).toBe(50);
    expect(await store.backlog.judgeDependants()).toBeGreaterThan(0);
    expect(await cutOff()).toBe(100);
    while ((await store.backlog.judgeDependants()) > 0);
    expect(await cutOff()).toBe(250);
    expect(await stateOf(store, chain.at(-1) ?? '')).toEqual(CUT_OFF);
    expect(await findKeys(redis, `${prefix}:dependants:*`)).toEqual([]);
    expect(await findKeys(redis, `${prefix}:unmet`)).toEqual([]);
    expect(await redis.hget(store.keys.tally, 'user/local|pending')).toBeNull();
  });

  it('frees all of a wide one, also those that one script was not to free', async () => {
    const { store } = openTestStore('after');
    const parent = await submit(store);
    await Promise.all(Array.from({ length: 230 }, () => submit(store, behind(parent))));
    await end(store, parent);
    expect((await store.list.countQueued('small')).backlog).toBe(50);
    while ((await store.backlog.judgeDependants()) > 0);
    expect((await store.list.countQueued('small')).backlog).toBe(230);
  });

  it('runs a diamond in order, also when both middle jobs end at the same time', async () => {
    const { store } = openTestStore('after');
    const top = await submit(store);
    const [left, right] = [await submit(store, behind(top)), await submit(store, behind(top))];
    const bottom = await submit(store, behind(left, right));
    await end(store, top);
    const claims = [await claim(store, left), await claim(store, right)];
    await Promise.all(claims.map((one) => store.claims.settle(one, toSettlement('completed'))));
    expect(await drawAny(store)).toBe(bottom);
  });

  it('judges each dependant once, whether a job ends before its dependant comes, after it, or in the same moment', async () => {
    const { store } = openTestStore('after');
    for (let round = 0; round < 20; round++) {
      const parent = await submit(store);
      const running = await claim(store, parent);
      const [, ...children] = await Promise.all([
        store.claims.settle(running, toSettlement('completed')),
        ...Array.from({ length: 5 }, () => submit(store, behind(parent))),
      ]);
      for (const child of children) expect(await stateOf(store, child)).toEqual(FREE);
    }
    expect((await store.list.countQueued('small')).backlog).toBe(100);
  });
});
