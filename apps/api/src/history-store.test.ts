import type { History } from '@berth/history';
import type { JobFilter, JobRecord, Store } from '@berth/store';
import { describe, expect, it } from 'vitest';
import { withHistory } from './history-store.js';

const toId = (n: number): string => `00000000-0000-7000-8000-00000000000${n}`;
const toJob = (n: number) => ({ job_id: toId(n), state: 'completed' }) as JobRecord;
const byNewest = (a: JobRecord, b: JobRecord) => (a.job_id < b.job_id ? 1 : -1);

/** Two stores of which the one's jobs go to the other's as soon as anybody has looked at either. */
const openMovingStores = (jobs: JobRecord[]) => {
  const here = new Map(jobs.map((job) => [job.job_id, job]));
  const there = new Map<string, JobRecord>();
  const asked: string[] = [];
  const thenMove = async <T>(name: string, seen: T): Promise<T> => {
    asked.push(name);
    for (const [id, job] of here) there.set(id, job);
    here.clear();
    return seen;
  };
  const store = {
    jobs: { read: (id: string) => thenMove('redis', here.get(id) ?? null) },
    arrays: {},
    list: { list: () => thenMove('redis', { jobs: [...here.values()].sort(byNewest), next: null }) },
    archiving: { readNewestArchived: async () => null },
  } as unknown as Store;
  const history = {
    read: (id: string) => thenMove('archive', there.has(id) ? { job: there.get(id), segments: [] } : null),
    list: () => thenMove('archive', [...there.values()].sort(byNewest)),
  } as unknown as History;
  return { both: withHistory(store, history), asked };
};

describe('both stores', () => {
  it('show a job that leaves Redis right after Redis was read once', async () => {
    const { both, asked } = openMovingStores([toJob(1), toJob(2)]);
    const page = await both.list.list({}, 10);
    expect(page).toEqual({ jobs: [toJob(2), toJob(1)], next: null });
    expect(asked).toEqual(['redis', 'archive']);
  });

  it('read a job wherever it is, and the archive only where Redis has it not', async () => {
    const { both, asked } = openMovingStores([toJob(1)]);
    expect(await both.jobs.read(toId(1))).toEqual(toJob(1));
    expect(asked).toEqual(['redis']);
    expect(await both.jobs.read(toId(1))).toEqual(toJob(1));
    expect(await both.jobs.read(toId(3))).toBeNull();
  });

  it('do not ask the archive for what cannot be there', async () => {
    const { both, asked } = openMovingStores([toJob(1)]);
    const filter: JobFilter = { state: 'pending' };
    await both.list.list(filter, 10);
    expect(asked).toEqual(['redis']);
  });
});
