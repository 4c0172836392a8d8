import type { JobFilter, Store } from '@berth/store';
import { describe, expect, it } from 'vitest';
import { claim, openTestStore, submit, toNewJob, toSettlement } from './open-test-store.js';

/** Every job that the filter lets through, page by page, and how many pages it took. */
const readAll = async (store: Store, filter: JobFilter, limit: number) => {
  const ids: string[] = [];
  let pages = 0;
  for (let next: string | undefined; ; ) {
    const page = await store.list.list(filter, limit, next);
    pages += 1;
    expect(page.jobs.length).toBeLessThanOrEqual(limit);
    ids.push(...page.jobs.map((job) => job.job_id));
    if (page.next === null) return { ids, pages };
    next = page.next;
  }
};

const submitMany = async (store: Store, count: number): Promise<string[]> =>
  (await Promise.all(Array.from({ length: count }, () => store.jobs.accept(toNewJob())))).map((one) => one.job_id);

describe('the list of jobs', () => {
  it.each([
    [0, 10, 1],
    [1, 10, 1],
    [50, 50, 1],
    [51, 50, 2],
    [120, 50, 3],
    [120, 1, 120],
  ])('gives %i jobs, newest first, in pages of %i', async (count, limit, pages) => {
    const { store } = openTestStore('list');
    const ids = await submitMany(store, count);
    expect(await readAll(store, {}, limit)).toEqual({ ids: ids.reverse(), pages });
  });

  it('goes on from the same place though jobs are added and forgotten', async () => {
    const { store } = openTestStore('list');
    const ids = await submitMany(store, 30);
    const first = await store.list.list({}, 10);
    await submitMany(store, 15);
    const second = await store.list.list({}, 10, first.next ?? '');
    expect(second.jobs.map((job) => job.job_id)).toEqual(ids.slice(10, 20).reverse());

    const cursor = second.next ?? '';
    await store.claims.settle(await claim(store, cursor), toSettlement('completed'));
    expect(await store.retention.forget(Date.now() + 1_000)).toBe(1);
    const third = await store.list.list({}, 10, cursor);
    expect(third).toMatchObject({ next: null });
    expect(third.jobs.map((job) => job.job_id)).toEqual(ids.slice(0, 10).reverse());
  });

  it('is filtered by state, name, label and format, and by all of them', async () => {
    const { store } = openTestStore('list');
    const plain = await submit(store);
    const named = await submit(store, { name: 'n' });
    const labelled = await submit(store, { name: 'n', labels: { a: 'b=c', x: 'y' } });
    const { job_id: workload } = await store.jobs.accept(toNewJob({ labels: { x: 'y' } }, { format: 'workload' }));
    await claim(store, labelled);
    const find = async (filter: JobFilter) => (await readAll(store, filter, 10)).ids;
    expect(await find({ state: 'pending' })).toEqual([workload, named, plain]);
    expect(await find({ state: 'running' })).toEqual([labelled]);
    expect(await find({ name: 'n' })).toEqual([labelled, named]);
    expect(await find({ label: 'a=b=c' })).toEqual([labelled]);
    expect(await find({ label: 'x=y' })).toEqual([workload, labelled]);
    expect(await find({ format: 'workload' })).toEqual([workload]);
    expect(await find({ format: 'v1' })).toEqual([labelled, named, plain]);
    expect(await find({ name: 'n', state: 'pending' })).toEqual([named]);
    expect(await find({ name: 'n', label: 'x=y', state: 'running', format: 'v1' })).toEqual([labelled]);
    for (const none of [{ label: 'a' }, { label: 'a=b' }, { label: 'constructor=' }, { name: '' }]) {
      expect([none, await find(none)]).toEqual([none, []]);
    }
  });

  it('counts by state and knows the oldest pending job', async () => {
    const { store } = openTestStore('list');
    expect(await store.list.oldestPending()).toBeNull();
    const [first = '', second] = await submitMany(store, 3);
    expect((await store.list.oldestPending())?.job_id).toBe(first);
    await claim(store, first);
    expect((await store.list.oldestPending())?.job_id).toBe(second);
    expect(await store.list.countByState(['pending', 'running', 'failed'])).toEqual({
      pending: 2,
      running: 1,
      failed: 0,
    });
  });
});

describe('what a page costs', () => {
  it('does not grow with the jobs: a page that finds nothing stops after 2,000 and goes on later', async () => {
    const { redis, store } = openTestStore('list');
    const named = await submit(store, { name: 'rare' });
    await submitMany(store, 2_500);
    const other = await store.jobs.accept(toNewJob({ name: 'other' }, { format: 'workload' }));
    const commands: string[] = [];
    const send = redis.sendCommand.bind(redis);
    redis.sendCommand = (command, ...more) => {
      commands.push(command.name);
      return send(command, ...more);
    };
    const costOf = async (filter: JobFilter, limit: number) => {
      commands.length = 0;
      const { jobs, next } = await store.list.list(filter, limit);
      return {
        found: jobs.map((job) => job.job_id),
        next,
        reads: commands.filter((name) => name === 'hgetall').length,
      };
    };

    expect(await costOf({ name: 'rare', state: 'pending' }, 10)).toEqual({ found: [named], next: null, reads: 1 });
    expect((await costOf({}, 10)).reads).toBe(50);
    const rest = await costOf({ format: 'v1' }, 1_000);
    expect(rest.reads).toBeLessThanOrEqual(1_050);

    await redis.zadd(
      store.keys.jobsNamed('ghost'),
      ...Array.from({ length: 2_500 }, (_, i) => [0, `ghost-${i}`]).flat(),
    );
    const ghosts = await costOf({ name: 'ghost' }, 10);
    expect(ghosts).toMatchObject({ found: [], reads: 2_000 });
    expect(await store.list.list({ name: 'ghost' }, 10, ghosts.next ?? '')).toEqual({ jobs: [], next: null });
    expect((await readAll(store, { format: 'v1' }, 1_000)).ids).not.toContain(other.job_id);
  });
});
