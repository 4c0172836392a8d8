import { describe, expect, it } from 'vitest';
import { openTestStore, toNewJob } from './open-test-store.js';

describe('the numbers of jobs', () => {
  it('count up from 1, each once, however many are given out at a time', async () => {
    const { store } = openTestStore('job-numbers');
    const names = Array.from({ length: 20 }, (_, i) => ({ job_id: `job-${i}`, user: 'ann' }));
    const given = await Promise.all(names.map((one) => store.numbers.give(one)));
    expect([...given].sort((a, b) => a - b)).toEqual(names.map((_, i) => i + 1));
    expect(await store.numbers.find(given[3] ?? 0)).toEqual(names[3]);
    await store.numbers.drop(given[3] ?? 0);
    expect(await store.numbers.find(given[3] ?? 0)).toBeNull();
    expect(await store.numbers.give({ job_id: 'next', user: 'bob' })).toBe(21);
  });

  it('go by themselves in the end', async () => {
    const { store, redis } = openTestStore('job-numbers');
    const number = await store.numbers.give({ job_id: 'a', user: 'ann' });
    expect(await redis.ttl(store.keys.jobNumber(number))).toBeGreaterThan(3_650 * 24 * 3600);
  });
});

describe('a job that is accepted and is never to run', () => {
  it('has ended when it is accepted, and is in nobody’s way', async () => {
    const { store } = openTestStore('job-numbers');
    const { job_id, ended } = await store.jobs.accept(toNewJob({}, { never: 'no run.sh\nat all' }));
    expect(ended).toBe(true);
    const job = await store.jobs.read(job_id);
    expect(job).toMatchObject({ state: 'cancelled', cause: 'cancelled', message: 'no run.sh\nat all' });
    const [{ tallies }, tickets] = [await store.quotas.readBook([]), await store.backlog.dispatch('small', 10, 10)];
    expect([tallies, tickets]).toEqual([{}, []]);
    expect((await store.jobs.readHistory(job_id)).map(({ type }) => type)).toEqual(['submitted', 'cancelled']);
  });
});
