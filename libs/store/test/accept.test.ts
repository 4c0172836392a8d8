import { createJobId, createStore, isJobId } from '@berth/store';
import { describe, expect, it } from 'vitest';
import { claim, historyOf, openTestRedis, openTestStore, submit, toNewJob } from './open-test-store.js';

describe('accept', () => {
  it('writes a whole record that reads back as it was submitted', async () => {
    const { store } = openTestStore('accept');
    const request = { command: 'echo hi', extra: [1, 2] };
    const job = toNewJob({ name: 'one', labels: { a: 'b=c' }, env: { TEXT: 'a\nb "é"' } });
    const { job_id, replayed } = await store.jobs.accept({ ...job, format: 'coordinator', request });
    expect(replayed).toBe(false);
    expect(isJobId(job_id)).toBe(true);
    expect(await store.jobs.read(job_id)).toMatchObject({
      job_id,
      state: 'pending',
      class: 'small',
      format: 'coordinator',
      spec: job.spec,
      request,
      priority: 50,
      epoch: 0,
      attempt: 1,
      attempts: [],
      cause: null,
      exit_code: null,
      started_at: null,
      finished_at: null,
      cancel_requested: false,
      due_at: null,
    });
    const [event] = await store.jobs.readHistory(job_id);
    expect(event).toMatchObject({ seq: 1, type: 'submitted', state: 'pending', data: {} });
    expect(event?.meaning).toContain('waiting');
  });

  it('keeps one key for a pending job, and its history goes on from there', async () => {
    const { redis, store } = openTestStore('accept');
    const id = await submit(store);
    expect(await redis.keys(`${store.keys.job(id)}*`)).toEqual([store.keys.job(id)]);
    await store.jobs.cancel(id);
    const seen = async (after_seq?: number) =>
      (await store.jobs.readHistory(id, after_seq)).map(({ seq, type }) => [seq, type]);
    expect(await seen()).toEqual([
      [1, 'submitted'],
      [2, 'cancelled'],
    ]);
    expect(await seen(1)).toEqual([[2, 'cancelled']]);
    expect(await seen(2)).toEqual([]);
    expect(await store.jobs.readHistory('00000000-0000-7000-8000-000000000000')).toEqual([]);
  });

  it('that is sent again, without an Idempotency-Key, finds the job as it is by then, also where that was the last one allowed', async () => {
    const { store } = openTestStore('accept');
    await store.quotas.set({ user: 'local' }, { max_pending: 1 });
    const job = toNewJob({}, { job_id: createJobId(Date.now()) });
    const first = await store.jobs.accept(job);
    expect(await store.jobs.accept(job)).toMatchObject({ job_id: first.job_id, replayed: true });
    await claim(store, first.job_id);
    expect(await store.jobs.accept(job)).toMatchObject({ job_id: first.job_id, replayed: true });
    expect(await store.jobs.read(first.job_id)).toMatchObject({ state: 'running', epoch: 1 });
    expect(await historyOf(store, first.job_id)).toEqual(['submitted', 'claimed']);
  });

  it('puts a job into each of its indexes and its backlog', async () => {
    const { redis, store } = openTestStore('accept');
    const { keys } = store;
    const id = await submit(store, { name: 'n', labels: { a: 'b', c: 'd=e' } });
    for (const index of [keys.jobs, keys.jobsInState('pending'), keys.jobsNamed('n'), keys.backlog('small')]) {
      expect([index, await redis.zrange(index, '0', '-1')]).toEqual([index, [id]]);
    }
    expect(await redis.zrange(keys.jobsLabelled('a=b'), '0', '-1')).toEqual([id]);
    expect(await redis.zrange(keys.jobsLabelled('c=d=e'), '0', '-1')).toEqual([id]);
    expect((await store.readTotals()).submitted).toEqual([{ class: 'small', count: 1 }]);
  });

  it('takes many at once, each with an id of its own, in order', async () => {
    const { store } = openTestStore('accept');
    const accepted = await Promise.all(Array.from({ length: 1_000 }, () => store.jobs.accept(toNewJob())));
    const ids = accepted.map((one) => one.job_id);
    expect(new Set(ids).size).toBe(1_000);
    expect([...ids].sort()).toEqual(ids);
    const { jobs } = await store.list.list({}, 1_000);
    expect(jobs.map((job) => job.job_id)).toEqual([...ids].reverse());
  });
});

describe('an Idempotency-Key', () => {
  const keyed = (key: string, body: string) => toNewJob({}, { idempotency: { key, body } });

  it('makes one job of 50 concurrent submits over two connections', async () => {
    const { store, prefix } = openTestStore('accept');
    const other = createStore(openTestRedis(), prefix);
    const accepted = await Promise.all(
      Array.from({ length: 50 }, (_, i) => (i % 2 ? store : other).jobs.accept(keyed('key', 'body'))),
    );
    expect(new Set(accepted.map((one) => one.job_id)).size).toBe(1);
    expect(accepted.filter((one) => !one.replayed)).toHaveLength(1);
    expect(new Set(accepted.map((one) => one.created_at)).size).toBe(1);
    expect((await store.list.list({}, 10)).jobs).toHaveLength(1);
    expect((await store.readTotals()).submitted).toEqual([{ class: 'small', count: 1 }]);
  });

  it('refuses another body, and makes nothing of it', async () => {
    const { store } = openTestStore('accept');
    await store.jobs.accept(keyed('key', 'body'));
    await expect(store.jobs.accept(keyed('key', 'other'))).rejects.toMatchObject({ code: 'idempotency_key_reused' });
    expect((await store.list.list({}, 10)).jobs).toHaveLength(1);
  });

  it.each(['meta', 'wait', '123', 'a:b', 'é €', ' '])('may be %j', async (key) => {
    const { store } = openTestStore('accept');
    const first = await store.jobs.accept(keyed(key, 'body with spaces'));
    const again = await store.jobs.accept(keyed(key, 'body with spaces'));
    expect(again).toMatchObject({ job_id: first.job_id, replayed: true });
    expect(await store.jobs.read(first.job_id)).not.toBeNull();
  });

  it('is free again when its job is no longer kept', async () => {
    const { store } = openTestStore('accept');
    const first = await store.jobs.accept(keyed('key', 'body'));
    await store.jobs.cancel(first.job_id);
    await store.retention.forget(Date.now() + 60_000);
    const second = await store.jobs.accept(keyed('key', 'other'));
    expect(second.replayed).toBe(false);
    expect(await store.jobs.read(second.job_id)).not.toBeNull();
  });

  it('is forgotten by itself', async () => {
    const { redis, store, prefix } = openTestStore('accept');
    await store.jobs.accept(keyed('key', 'body'));
    const [key = ''] = await redis.keys(`${prefix}:idempotency:*`);
    expect(key).not.toContain(':key');
    const ttl = await redis.ttl(key);
    expect(ttl).toBeGreaterThan(86_000);
    expect(ttl).toBeLessThanOrEqual(86_400);
  });
});

describe('job ids', () => {
  it('sort by time, and by order within a millisecond', () => {
    const ids = [1, 1, 1, 2, 1_700_000_000_000, 1_700_000_000_000].map(createJobId);
    expect([...ids].sort()).toEqual(ids);
    expect(ids.every(isJobId)).toBe(true);
  });

  it.each(['', 'meta', '__proto__', '../../etc', 'A0000000-0000-7000-8000-000000000000'])('%j is none', (text) => {
    expect(isJobId(text)).toBe(false);
  });
});
