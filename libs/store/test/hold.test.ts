import type { Store } from '@berth/store';
import { describe, expect, it } from 'vitest';
import { createDrawer } from './draw.js';
import { claim, historyOf, openTestStore, submit, toNewJob, toSettlement } from './open-test-store.js';

const read = async (store: Store, job_id: string) => {
  const job = await store.jobs.read(job_id);
  if (!job) throw new Error(`expected the job ${job_id}`);
  return job;
};

describe('a hold', () => {
  it('keeps a pending job from being claimed until it is released, and twice is once', async () => {
    const { store } = openTestStore('hold');
    const id = await submit(store);
    const drawer = createDrawer(store);
    expect(await store.control.hold(id)).toEqual({ kind: 'done', class: 'small', ticket: null });
    expect(await store.control.hold(id)).toEqual({ kind: 'done', class: 'small', ticket: null });
    expect(await read(store, id)).toMatchObject({ state: 'pending', held: true });
    expect(await drawer.next()).toBeUndefined();
    await store.control.unhold(id);
    await store.control.unhold(id);
    expect((await read(store, id)).held).toBe(false);
    expect((await drawer.next())?.job_id).toBe(id);
    expect(await historyOf(store, id)).toEqual(['submitted', 'held', 'unheld', 'claimed']);
  });

  it('stands from the submit on where the job asks for it', async () => {
    const { store } = openTestStore('hold');
    const { job_id } = await store.jobs.accept(toNewJob({}, { hold: true }));
    expect(await createDrawer(store).next()).toBeUndefined();
    await store.control.unhold(job_id);
    expect((await createDrawer(store).next())?.job_id).toBe(job_id);
  });

  it('takes the ticket of a dispatched job away, so that tickets and dispatched jobs stay as many', async () => {
    const { store, redis } = openTestStore('hold');
    const id = await submit(store);
    const [issued] = await store.backlog.dispatch('small', 10, 10);
    expect(await store.control.hold(id)).toEqual({ kind: 'done', class: 'small', ticket: issued?.ticket });
    expect(await redis.hlen(store.keys.tickets('small'))).toBe(0);
    expect(await redis.zcard(store.keys.dispatched('small'))).toBe(0);
    await store.control.unhold(id);
    expect((await store.backlog.dispatch('small', 10, 10)).map(({ job_id }) => job_id)).toEqual([id]);
  });

  it('refuses what is not pending, with its state, and what is not there', async () => {
    const { store } = openTestStore('hold');
    const id = await submit(store);
    const held = await claim(store, id);
    const refused = { kind: 'refused', state: 'running' };
    expect(await store.control.hold(id)).toEqual(refused);
    expect(await store.control.unhold(id)).toEqual(refused);
    expect(await store.control.reprioritize(id, 90)).toEqual(refused);
    await store.claims.settle(held, toSettlement('completed'));
    expect(await store.control.hold(id)).toEqual({ kind: 'refused', state: 'completed' });
    expect(await store.control.hold('none')).toEqual({ kind: 'missing' });
    expect(await store.control.unhold('none')).toEqual({ kind: 'missing' });
    expect(await store.control.reprioritize('none', 1)).toEqual({ kind: 'missing' });
  });

  it('ends with a cancel, and counts as pending all the while', async () => {
    const { store, redis } = openTestStore('hold');
    const id = await submit(store);
    await store.control.hold(id);
    expect(await redis.hget(store.keys.tally, 'user/local|pending')).toBe('1');
    expect((await store.jobs.cancel(id)).kind).toBe('cancelled');
    expect(await redis.exists(store.keys.tally)).toBe(0);
    expect(await store.control.unhold(id)).toEqual({ kind: 'refused', state: 'cancelled' });
    expect(await createDrawer(store).next()).toBeUndefined();
  });

  it('stops the time that the job may wait for a machine, and a release gives back what was left of it', async () => {
    const { store, redis } = openTestStore('hold');
    const { job_id } = await store.jobs.accept(toNewJob({}, { queue_timeout_seconds: 1_000 }));
    await store.control.hold(job_id);
    expect(await redis.zscore(store.keys.queueDeadlines, job_id)).toBeNull();
    await redis.hset(store.keys.job(job_id), 'queue_left', 700_000);
    await store.control.unhold(job_id);
    const left = Number(await redis.zscore(store.keys.queueDeadlines, job_id)) - Date.now();
    expect(left).toBeGreaterThan(690_000);
    expect(left).toBeLessThanOrEqual(700_000);
  });

  it('does not let a job that is accepted with it wait for a machine before its release', async () => {
    const { store, redis } = openTestStore('hold');
    const { job_id } = await store.jobs.accept(toNewJob({}, { hold: true, queue_timeout_seconds: 1_000 }));
    expect(await redis.zscore(store.keys.queueDeadlines, job_id)).toBeNull();
    await store.control.unhold(job_id);
    expect(Number(await redis.zscore(store.keys.queueDeadlines, job_id))).toBeGreaterThan(Date.now() + 990_000);
  });

  it('leaves a back-off as long as it was', async () => {
    const { store, redis } = openTestStore('hold');
    const id = await submit(store, { max_attempts: 2 });
    await store.claims.settle(await claim(store, id), toSettlement('retried', { delay_ms: 600_000 }));
    const { due_at } = await read(store, id);
    await store.control.hold(id);
    expect(await redis.zscore(store.keys.due, id)).toBeNull();
    await store.control.unhold(id);
    expect((await read(store, id)).due_at).toBe(due_at);
    expect(await redis.zscore(store.keys.due, id)).toBe(String(due_at));
    expect(await createDrawer(store).next()).toBeUndefined();
  });

  it('goes before the release of a job that waits for another one', async () => {
    const { store } = openTestStore('hold');
    const first = await submit(store);
    const { job_id } = await store.jobs.accept(toNewJob({ after: [{ job: first, condition: 'completed' }] }));
    await store.control.hold(job_id);
    await store.control.unhold(job_id);
    expect((await store.backlog.dispatch('small', 10, 10)).map((one) => one.job_id)).toEqual([first]);
    await store.control.hold(job_id);
    await store.claims.settle(await claim(store, first), toSettlement('completed'));
    expect(await store.backlog.dispatch('small', 10, 10)).toEqual([]);
    await store.control.unhold(job_id);
    expect((await store.backlog.dispatch('small', 10, 10)).map((one) => one.job_id)).toEqual([job_id]);
  });
});

describe('another priority', () => {
  it('moves a job among those of its user, wherever it waits, and keeps its ticket', async () => {
    const { store, redis } = openTestStore('hold');
    const ids = [await submit(store), await submit(store), await submit(store), await submit(store)];
    await store.backlog.dispatch('small', 3, 3);
    await store.control.reprioritize(ids[1] ?? '', 10);
    await store.control.reprioritize(ids[2] ?? '', 90);
    await store.control.reprioritize(ids[3] ?? '', 80);
    expect(await redis.hlen(store.keys.tickets('small'))).toBe(3);
    const [issued] = await redis.hkeys(store.keys.tickets('small'));
    const drawn = await store.claims.draw('small', issued ?? '', {
      ...{ worker: 'w', engine: 'e', node: 'n', labels: {}, region: 'default', datacenter: 'default', gpus: [] },
      capacity: { centicpus: 10_000, memory_mb: 100_000, gpus: 0 },
    });
    expect(drawn).toMatchObject({ kind: 'claimed', claim: { job_id: ids[2] } });
    const order = await redis.zrange(store.keys.backlog('small'), '0', '-1');
    expect(order[0]).toBe(ids[3]);
    const history = await store.jobs.readHistory(ids[1] ?? '');
    expect(history.at(-1)).toMatchObject({ type: 'reprioritized', data: { from: 50, to: 10 } });
  });

  it('is taken along by a job that is held', async () => {
    const { store } = openTestStore('hold');
    const ids = [await submit(store), await submit(store)];
    await store.control.hold(ids[1] ?? '');
    await store.control.reprioritize(ids[1] ?? '', 90);
    expect((await createDrawer(store).next())?.job_id).toBe(ids[0]);
    await store.control.unhold(ids[1] ?? '');
    expect((await createDrawer(store).next())?.job_id).toBe(ids[1]);
  });

  it('says nothing where it is the one that the job has', async () => {
    const { store } = openTestStore('hold');
    const id = await submit(store);
    await store.control.reprioritize(id, 50);
    expect(await historyOf(store, id)).toEqual(['submitted']);
  });
});
