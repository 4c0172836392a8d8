import { randomUUID } from 'node:crypto';
import type { Store, Upload } from '@berth/store';
import { describe, expect, it } from 'vitest';
import { claim, openTestStore, toNewJob, toSettlement } from './open-test-store.js';

const toId = (letter: string): string => letter.repeat(64);

const add = async (store: Store, letter: string, more: Partial<Upload> = {}, quota?: number): Promise<Upload> => {
  const fresh = { user: 'ann', file_id: toId(letter), object: `uploads/${letter}`, bytes: 10, name: null, ...more };
  const added = await store.uploads.add(fresh, { quota_bytes: quota });
  if (added.kind === 'over_quota') throw new Error('expected room');
  return added.upload;
};

const toText = ({ file_id, user }: Upload): string => `${user}:${file_id.slice(0, 1)}`;

const submitWith = async (store: Store, { user, file_id }: Upload): Promise<string> =>
  (await store.jobs.accept(toNewJob({ inputs: [{ file_id, path: 'in' }] }, { user }))).job_id;

const collect = async (store: Store, show = toText): Promise<string[]> => {
  const all: string[] = [];
  for await (const upload of store.uploads.listAll()) all.push(show(upload));
  return all;
};

describe('uploads', () => {
  it("are a user's by their bytes: the same again is the one that was there", async () => {
    const { store } = openTestStore('uploads');
    const first = await add(store, 'a', { name: 'in.csv' });
    expect(first).toMatchObject({ object: 'uploads/a', bytes: 10, name: 'in.csv', removing: null });
    const again = await store.uploads.add({ ...first, object: 'uploads/b', name: 'other' });
    expect(again).toMatchObject({ kind: 'known', upload: { object: 'uploads/a', name: 'in.csv' } });
    expect((await store.uploads.add({ ...first, user: 'bob' })).kind).toBe('added');
    expect(await store.uploads.readStoredBytes('ann')).toBe(10);
    expect(await store.uploads.read('eve', toId('a'))).toBeNull();
  });

  it('of 20 at once, those that fit into the quota are added and no more', async () => {
    const { store } = openTestStore('uploads');
    const letters = [...'0123456789abcdef'];
    const kinds = await Promise.all(
      letters.map(async (letter) => {
        const fresh = { user: 'ann', file_id: toId(letter), object: `uploads/${letter}`, bytes: 10, name: null };
        return (await store.uploads.add(fresh, { quota_bytes: 55 })).kind;
      }),
    );
    expect(kinds.filter((kind) => kind === 'added')).toHaveLength(5);
    expect(await store.uploads.readStoredBytes('ann')).toBe(50);
    expect((await add(store, letters[kinds.indexOf('added')] ?? '', {}, 55)).bytes).toBe(10);
  });

  it('are listed newest first, page by page, and all of them the longest unused first', async () => {
    const { store } = openTestStore('uploads');
    for (const letter of 'abcde') await add(store, letter);
    const first = await store.uploads.list('ann', 2);
    const rest = await store.uploads.list('ann', 10, first.next ?? '');
    const ids = [...first.uploads, ...rest.uploads].map(({ file_id }) => file_id.slice(0, 1));
    expect([...ids].sort()).toEqual([...'abcde']);
    expect(rest.next).toBeNull();
    await store.uploads.touch('ann', [toId('a')]);
    expect(await collect(store)).toHaveLength(5);
    await add(store, 'f', { user: 'a:b' });
    expect(await collect(store)).toContain('a:b:f');
  });

  it('are all listed where hundreds were used in one millisecond', async () => {
    const { store, redis } = openTestStore('uploads');
    for (let i = 0; i < 450; i++) await add(store, 'x', { file_id: String(i).padStart(64, '0') });
    const members = await redis.zrange(store.keys.files, '0', '-1');
    await redis.zadd(store.keys.files, ...members.flatMap((member) => [1, member]));
    expect(new Set(await collect(store, (one) => one.file_id)).size).toBe(450);
  });

  it("are missing for a job where they are another's or on their way out; then none is touched", async () => {
    const { store } = openTestStore('uploads');
    const a = await add(store, 'a');
    const b = await add(store, 'b');
    expect(await store.uploads.touch('ann', [toId('a'), toId('b')])).toEqual([]);
    expect(await store.uploads.touch('bob', [toId('a')])).toEqual([toId('a')]);
    expect(await store.uploads.markRemoving(b)).toBe('marked');
    expect(await store.uploads.touch('ann', [toId('a'), toId('b'), toId('c')])).toEqual([toId('b'), toId('c')]);
    expect(await store.uploads.read('ann', toId('b'))).toBeNull();
    expect(await store.uploads.markRemoving({ ...a, used_at: a.used_at - 1 }, { if_unused: true })).toBe('changed');
  });

  it('are not removed while a job that was submitted with them has not ended', async () => {
    const { store, redis } = openTestStore('uploads');
    const a = await add(store, 'a');
    const job_id = await submitWith(store, a);
    expect(await store.uploads.markRemoving(a)).toBe('needed');
    const held = await claim(store, job_id);
    expect(await store.uploads.markRemoving(a)).toBe('needed');
    await store.claims.settle(held, toSettlement('completed'));
    expect(await store.uploads.markRemoving(a)).toBe('marked');
    expect(await store.uploads.remove(a)).toBe(true);
    expect(await redis.keys(`${store.keys.prefix}:file*`)).toEqual([]);
  });

  it('are as they were before a job that was refused', async () => {
    const { store } = openTestStore('uploads');
    const a = await add(store, 'a');
    await store.quotas.set({ user: 'ann' }, { max_pending: 0 });
    const refused = submitWith(store, a);
    await expect(refused).rejects.toMatchObject({ code: 'over_quota' });
    expect(await store.uploads.markRemoving(a, { if_unused: true })).toBe('marked');
  });

  it('that are missing are named to whoever submits a job or an array with them, and none is taken', async () => {
    const { store } = openTestStore('uploads');
    const a = await add(store, 'a');
    const files = [toId('b'), a.file_id, toId('c')];
    const inputs = files.map((file_id, i) => ({ file_id, path: `${i}` }));
    const job = toNewJob({ inputs }, { user: 'ann' });
    const named = { code: 'input_not_found', problems: [0, 2].map((i) => ({ path: `$.inputs[${i}].file_id` })) };
    await expect(store.jobs.accept(job)).rejects.toMatchObject(named);
    await expect(store.arrays.add({ job, array: { size: 2 } })).rejects.toMatchObject(named);
    expect(await store.uploads.markRemoving(a, { if_unused: true })).toBe('marked');
  });

  it('keep no list of the jobs that have used them and ended', async () => {
    const { store, redis } = openTestStore('uploads');
    const a = await add(store, 'a');
    const key = store.keys.jobsWithFile('ann', a.file_id);
    const old = Array.from({ length: 2_500 }, () => [1, randomUUID()]).flat();
    await redis.zadd(key, ...old);
    const jobs: string[] = [];
    for (let i = 0; i < 50; i++) jobs.push(await submitWith(store, a));
    expect(await redis.zcard(key)).toBeLessThan(2_500);
    for (const job_id of jobs) await store.jobs.cancel(job_id);
    expect(await store.uploads.markRemoving(a)).toBe('marked');
    expect(await redis.zcard(key)).toBe(0);
  });

  it('whose object is lost take the first one that comes in its place, and are the same file', async () => {
    const { store } = openTestStore('uploads');
    const old = await add(store, 'a', { name: 'in.csv' });
    const restore = (object: string) =>
      store.uploads.add({ ...old, object, name: 'other' }, { quota_bytes: 10, lost_object: old.object });
    const [first, second] = await Promise.all([restore('uploads/1'), restore('uploads/2')]);
    expect([first, second]).toMatchObject([
      { kind: 'restored', upload: { object: 'uploads/1', name: 'in.csv', created_at: old.created_at } },
      { kind: 'known', upload: { object: 'uploads/1' } },
    ]);
    expect(await store.uploads.readStoredBytes('ann')).toBe(10);
    expect(await store.uploads.markRemoving(old)).toBe('changed');
  });

  it('that come again while the old ones are removed are new, and the old removal does not touch them', async () => {
    const { store } = openTestStore('uploads');
    const old = await add(store, 'a');
    await store.uploads.markRemoving(old);
    const fresh = await add(store, 'a', { object: 'uploads/new' }, 10);
    expect(fresh.object).toBe('uploads/new');
    expect(await store.uploads.remove(old)).toBe(false);
    expect(await store.uploads.read('ann', toId('a'))).toMatchObject({ object: 'uploads/new' });
    expect(await store.uploads.readStoredBytes('ann')).toBe(10);
    expect((await store.uploads.list('ann', 10)).uploads).toHaveLength(1);
  });
});
