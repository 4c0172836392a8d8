import type { ArrayAsk, JobState } from '@berth/domain';
import type { ArrayRecord, NewJob, Store } from '@berth/store';
import { expect } from 'vitest';
import { claim, toClaimant, toNewJob, toSettlement } from './open-test-store.js';

export const BIG = toClaimant({ capacity: { centicpus: 1_000_000, memory_mb: 100_000_000, gpus: 0 } });

export const add = async (
  store: Store,
  array: ArrayAsk,
  fields: Record<string, unknown> = {},
  more: Partial<NewJob> = {},
) => (await store.arrays.add({ job: toNewJob(fields, more), array })).array_id;

export const expandAll = async (store: Store, array_id: string): Promise<number> => {
  for (let made = 0; ; ) {
    const step = await store.arrays.expand(array_id);
    made += step.made;
    if (!step.more) return made;
  }
};

export const read = async (store: Store, array_id: string): Promise<ArrayRecord> => {
  const array = await store.arrays.read(array_id);
  if (!array) throw new Error('expected an array');
  return array;
};

export const entriesOf = async (store: Store, array_id: string, state?: JobState) =>
  (await store.arrayList.readEntries(await read(store, array_id), { state, limit: 10_000 })).entries;

export const indicesOf = async (store: Store, array_id: string, state?: JobState) =>
  (await entriesOf(store, array_id, state)).map(({ index }) => index);

export const jobOf = async (store: Store, array_id: string, index: number): Promise<string> => {
  const entry = (await entriesOf(store, array_id))[index];
  if (!entry?.job_id) throw new Error(`expected a job of index ${index}`);
  return entry.job_id;
};

export const end = async (store: Store, array_id: string, index: number, type: 'completed' | 'failed' = 'completed') =>
  store.claims.settle(await claim(store, await jobOf(store, array_id, index), BIG), toSettlement(type));

/** Every index is where its state says, once, and the counts agree with the jobs. */
export const expectConsistent = async (store: Store, array_id: string) => {
  const { counts, size } = await read(store, array_id);
  const entries = await entriesOf(store, array_id);
  expect(entries.map(({ index }) => index)).toEqual(Array.from({ length: size }, (_, i) => i));
  for (const [state, count] of Object.entries(counts)) {
    expect([state, entries.filter((one) => one.state === state).length]).toEqual([state, count]);
  }
  const jobs = (await store.list.list({}, 10_000)).jobs.filter((job) => job.array_id === array_id);
  const live = jobs.filter((job) => job.state === 'pending' || job.state === 'running').map((job) => job.array_index);
  expect(new Set(live).size).toBe(live.length);
  return live.length;
};
