import { createJobId } from '@berth/store';
import { describe, expect, it } from 'vitest';
import { add, BIG, end, entriesOf, expandAll, expectConsistent, indicesOf, jobOf, read } from './array-steps.js';
import { claim, openTestStore, submit, toNewJob, toSettlement } from './open-test-store.js';

describe('an array', () => {
  it('becomes jobs a window at a time, which know their index, and more as these are started', async () => {
    const { store } = openTestStore('arrays');
    const id = await add(store, { size: 100, max_running: 2 }, { name: 'sweep', labels: { a: 'b' } });
    expect(await read(store, id)).toMatchObject({ state: 'pending', size: 100, counts: { pending: 100 } });
    expect(await expandAll(store, id)).toBe(64);
    expect(await expandAll(store, id)).toBe(0);
    const third = await store.jobs.read(await jobOf(store, id, 3));
    expect(third).toMatchObject({
      state: 'pending',
      array_id: id,
      array_index: 3,
      spec: { name: 'sweep', array_task: { array_id: id, index: 3, size: 100 } },
    });
    expect(third?.created_at).toBe((await read(store, id)).created_at);
    expect(await store.arrays.findReady()).toEqual([]);
    for (let i = 0; i < 31; i++) await end(store, id, i);
    expect(await store.arrays.findReady()).toEqual([]);
    await end(store, id, 31);
    expect(await store.arrays.findReady()).toEqual([id]);
    expect(await expandAll(store, id)).toBe(32);
    expect(await store.arrays.findReady()).toEqual([]);
    expect(await read(store, id)).toMatchObject({ state: 'running', counts: { pending: 68, completed: 32 } });
    await expectConsistent(store, id);
  });

  it('ends when its last index has: completed, failed where one failed, and jobs that depend on it follow', async () => {
    const { store } = openTestStore('arrays');
    const ids = [await add(store, { size: 2 }), await add(store, { size: 2 })];
    const waiting = await Promise.all(ids.map((job) => submit(store, { after: [{ job, condition: 'completed' }] })));
    for (const [i, id] of ids.entries()) {
      await expandAll(store, id);
      await end(store, id, 0, i === 0 ? 'completed' : 'failed');
      expect(await read(store, id)).toMatchObject({ state: 'running', finished_at: null });
      await end(store, id, 1);
    }
    expect(await read(store, ids[0] ?? '')).toMatchObject({ state: 'completed', finished_at: expect.any(Number) });
    expect(await read(store, ids[1] ?? '')).toMatchObject({ state: 'failed', counts: { completed: 1, failed: 1 } });
    expect(await store.jobs.read(waiting[0] ?? '')).toMatchObject({ state: 'pending', after_left: 0 });
    expect(await store.jobs.read(waiting[1] ?? '')).toMatchObject({ state: 'cancelled', cause: 'dependency_failed' });
  });

  it('gives each job its value, whatever stands in it', async () => {
    const { store } = openTestStore('arrays');
    const values = ['a b', '', '"\\\n', 'é 😀', '}]'];
    const id = await add(store, { values });
    await expandAll(store, id);
    for (const [index, value] of values.entries()) {
      const job = await store.jobs.read(await jobOf(store, id, index));
      expect(job?.spec.array_task).toEqual({ array_id: id, index, size: 5, value });
      expect(job?.spec.retry.on).toEqual(expect.any(Array));
    }
    const many = await add(store, { values: Array.from({ length: 60_000 }, (_, i) => String(i)) });
    expect(await store.arrays.expand(many, 1)).toEqual({ made: 1, more: true });
  });

  it('runs no more jobs at a time than it may, whoever draws', async () => {
    const { store } = openTestStore('arrays');
    const id = await add(store, { size: 20, max_running: 3 });
    await expandAll(store, id);
    const tickets = await store.backlog.dispatch('small', 100, 100);
    const replies = await Promise.all(tickets.map(({ ticket }) => store.claims.draw('small', ticket, BIG)));
    expect(replies.filter(({ kind }) => kind === 'claimed')).toHaveLength(3);
    expect((await read(store, id)).counts).toMatchObject({ running: 3, pending: 17 });
  });

  it('waits as long as what it is to run after has not ended, and is cancelled whole where that fails', async () => {
    const { store } = openTestStore('arrays');
    const parents = [await submit(store), await submit(store)];
    const ids = await Promise.all(
      parents.map((job) => add(store, { size: 10 }, { after: [{ job, condition: 'completed' }] })),
    );
    for (const id of ids) expect(await expandAll(store, id)).toBe(0);
    for (const [i, parent] of parents.entries()) {
      await store.claims.settle(await claim(store, parent), toSettlement(i === 0 ? 'completed' : 'failed'));
    }
    expect(await store.arrays.findReady()).toEqual([ids[0]]);
    expect(await expandAll(store, ids[0] ?? '')).toBe(10);
    expect(await read(store, ids[1] ?? '')).toMatchObject({
      state: 'cancelled',
      cause: 'dependency_failed',
      counts: { cancelled: 10 },
    });
    const job = await store.jobs.read(await jobOf(store, ids[0] ?? '', 0));
    expect(job?.spec.after).toBeUndefined();
  });

  it('takes no more pending places than its user may have, and goes on when one is free', async () => {
    const { redis, store } = openTestStore('arrays');
    await redis.hset(store.keys.quotas, 'user/local', '{"max_pending":5}');
    const id = await add(store, { size: 20 });
    expect(await expandAll(store, id)).toBe(5);
    expect(await store.arrays.findReady()).toEqual([id]);
    await expect(add(store, { size: 20 })).rejects.toMatchObject({ code: 'over_quota' });
    await end(store, id, 0);
    expect(await expandAll(store, id)).toBe(1);
  });

  it('is made once for an Idempotency-Key, which then stands for no job and no other array', async () => {
    const { store } = openTestStore('arrays');
    const job = (body: string) => toNewJob({}, { idempotency: { key: 'k', body } });
    const first = await store.arrays.add({ job: job('x'), array: { size: 3 } });
    expect(await store.arrays.add({ job: job('x'), array: { size: 3 } })).toEqual({
      array_id: first.array_id,
      replayed: true,
    });
    await expect(store.arrays.add({ job: job('y'), array: { size: 4 } })).rejects.toMatchObject({
      code: 'idempotency_key_reused',
    });
    await expect(store.jobs.accept(job('z'))).rejects.toMatchObject({ code: 'idempotency_key_reused' });
    expect((await store.arrayList.list(undefined, 10)).arrays).toHaveLength(1);
  });
});

describe('races over an array', () => {
  it('make each job once, though a broken connection sends the call again', async () => {
    const { store } = openTestStore('arrays');
    const id = await add(store, { size: 40 });
    const ids = Array.from({ length: 20 }, () => createJobId(Date.now()));
    expect(await store.arrays.expand(id, 20, ids)).toEqual({ made: 20, more: true });
    await end(store, id, 0);
    expect(await store.arrays.expand(id, 20, ids)).toEqual({ made: 0, more: true });
    expect(await expandAll(store, id)).toBe(20);
    expect(await read(store, id)).toMatchObject({ counts: { pending: 39, completed: 1 } });
    expect(await expectConsistent(store, id)).toBe(39);
  });

  it('never give an index two jobs, nor leave one out, however many expand it while its jobs end', async () => {
    const { store } = openTestStore('arrays');
    const id = await add(store, { size: 150, max_running: 40 });
    while ((await read(store, id)).state !== 'completed') {
      await Promise.all(Array.from({ length: 6 }, () => store.arrays.expand(id, 20)));
      await expectConsistent(store, id);
      const pending = (await entriesOf(store, id, 'pending')).filter(({ job_id }) => job_id !== null).slice(0, 40);
      const ending = pending.map(async ({ index }) => end(store, id, index));
      await Promise.all([...ending, ...Array.from({ length: 3 }, () => store.arrays.expand(id, 20))]);
    }
    const jobs = (await store.list.list({}, 10_000)).jobs;
    expect(jobs.map((job) => job.array_index).sort((a, b) => Number(a) - Number(b))).toEqual(
      Array.from({ length: 150 }, (_, i) => i),
    );
  });

  it('leave nothing alive behind a cancel, whoever expands or claims meanwhile', async () => {
    const { store, redis } = openTestStore('arrays');
    const id = await add(store, { size: 1_003, max_running: 100 });
    await expandAll(store, id);
    const running = [
      await claim(store, await jobOf(store, id, 0), BIG),
      await claim(store, await jobOf(store, id, 77), BIG),
    ];
    await end(store, id, 5, 'failed');
    await end(store, id, 6);
    const cancel = async () => {
      for (
        let reply = await store.arrays.cancel(id, 'begin', 50);
        ;
        reply = await store.arrays.cancel(id, 'go on', 50)
      ) {
        if (reply.kind !== 'cancelled' || reply.left === 0) return reply.kind;
      }
    };
    const replies = await Promise.all([cancel(), store.arrays.expand(id), cancel(), store.arrays.expand(id)]);
    expect([replies[0], replies[2]]).toEqual(['cancelled', 'cancelled']);
    expect(await expandAll(store, id)).toBe(0);
    expect(await read(store, id)).toMatchObject({
      state: 'running',
      counts: { pending: 0, running: 2, cancelled: 999 },
    });
    for (const one of running) await store.claims.settle(one, toSettlement('completed'));
    expect(await read(store, id)).toMatchObject({
      state: 'failed',
      counts: { completed: 1, failed: 1, cancelled: 1_001 },
    });
    expect(await expectConsistent(store, id)).toBe(0);
    expect(await indicesOf(store, id, 'failed')).toEqual([5]);
    expect(await store.arrays.findCancelling()).toEqual([]);
    expect(await store.arrays.cancel(id, 'begin')).toEqual({ kind: 'finished', state: 'failed' });
    expect(await redis.hget(store.keys.tally, 'user/local|pending')).toBeNull();
  });

  it('run the failed indices once more and no others, however often it is asked for at a time', async () => {
    const { store } = openTestStore('arrays');
    const id = await add(store, { size: 30 });
    await expandAll(store, id);
    for (let i = 0; i < 30; i++) await end(store, id, i, i % 7 === 0 ? 'failed' : 'completed');
    const failed = [0, 7, 14, 21, 28];
    expect(await indicesOf(store, id, 'failed')).toEqual(failed);
    const before = await jobOf(store, id, 7);
    const asked = await Promise.all([store.arrays.rerun(id), store.arrays.rerun(id), store.arrays.rerun(id)]);
    expect(asked).toEqual([5, 0, 0]);
    expect(await read(store, id)).toMatchObject({
      state: 'running',
      finished_at: null,
      counts: { pending: 5, completed: 25, failed: 0 },
    });
    expect(await indicesOf(store, id, 'pending')).toEqual(failed);
    const made = await Promise.all(Array.from({ length: 4 }, () => store.arrays.expand(id, 3)));
    expect(made.reduce((sum, one) => sum + one.made, 0)).toBe(5);
    expect(await jobOf(store, id, 7)).not.toBe(before);
    expect(await expectConsistent(store, id)).toBe(5);
    for (const index of failed) await end(store, id, index);
    expect(await read(store, id)).toMatchObject({ state: 'completed', counts: { completed: 30, failed: 0 } });
    expect(await store.arrays.rerun(id)).toBe(0);
  });

  it('cancel what is to be run once more, too', async () => {
    const { store } = openTestStore('arrays');
    const id = await add(store, { size: 3 });
    await expandAll(store, id);
    for (let i = 0; i < 3; i++) await end(store, id, i, i === 1 ? 'failed' : 'completed');
    await store.arrays.rerun(id);
    await store.arrays.cancel(id, 'begin');
    expect(await read(store, id)).toMatchObject({ state: 'cancelled', counts: { completed: 2, cancelled: 1 } });
    expect(await indicesOf(store, id, 'cancelled')).toEqual([1]);
  });
});
