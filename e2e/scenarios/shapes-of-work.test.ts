import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Berth, startBerth, until } from '../harness.js';

/** Jobs that run after each other, and many jobs that are one: on real workers. */
describe('shapes of work', () => {
  let berth: Berth;
  beforeAll(async () => {
    berth = await startBerth({ workers: 2 });
  });
  afterAll(() => berth.close());

  const small = { cpus: 0.1, memory_mb: 64 };
  const timesOf = async (job_id: string) => {
    const job = await berth.wait(job_id);
    return { job, began: Date.parse(String(job.started_at)), ended: Date.parse(String(job.finished_at)) };
  };

  it('runs a graph of jobs in its order, and cuts off what depends on a failure', async () => {
    const behind = (...places: number[]) => ({ after: places.map((place) => ({ job: `#${place}` })) });
    const { status, body } = await berth.request('POST', '/v1/jobs:batch', {
      jobs: [
        { ...small, command: 'sleep 0.3' },
        { ...small, command: 'sleep 0.3', ...behind(0) },
        { ...small, command: 'exit 3', ...behind(0) },
        { ...small, command: 'echo never', ...behind(1, 2) },
        {
          ...small,
          command: 'echo cleaned',
          after: [
            { job: '#2', condition: 'failed' },
            { job: '#3', condition: 'finished' },
          ],
        },
      ],
    });
    expect(status).toBe(200);
    const ids = (body.results as { job: { job_id: string } }[]).map((one) => one.job.job_id);
    const [first, left, right, bottom, last] = await Promise.all(ids.map(timesOf));
    expect(left?.began).toBeGreaterThanOrEqual(first?.ended ?? Number.NaN);
    expect(right?.began).toBeGreaterThanOrEqual(first?.ended ?? Number.NaN);
    expect(right?.job).toMatchObject({ state: 'failed', exit_code: 3 });
    expect(bottom?.job).toMatchObject({ state: 'cancelled', cause: 'dependency_failed', stdout: '', started_at: null });
    expect(last?.job).toMatchObject({ state: 'completed', stdout: 'cleaned\n' });
  });

  it('runs an array, each job with its index and value, no more at a time than it may, and the failed ones again', async () => {
    const values = ['zero', 'one', 'two', 'three', 'four', 'five'];
    const command =
      'echo $BERTH_ARRAY_INDEX of $BERTH_ARRAY_SIZE: $BERTH_ARRAY_VALUE; sleep 0.5; [ $BERTH_ARRAY_INDEX != 4 ]';
    const made = await berth.request('POST', '/v1/jobs', { ...small, command, array: { values, max_running: 2 } });
    expect(made.status).toBe(201);
    const path = `/v1/arrays/${made.body.array_id}`;
    const untilEnded = () =>
      until(
        'the array to end',
        async () => {
          const { body } = await berth.request('GET', path);
          return body.finished_at === null ? undefined : body;
        },
        60_000,
      );
    expect(await untilEnded()).toMatchObject({ state: 'failed', progress: 1, counts: { completed: 5, failed: 1 } });

    const { body } = await berth.request('GET', `${path}/jobs`);
    const entries = body.jobs as { index: number; state: string; job_id: string }[];
    const jobs = await Promise.all(entries.map(({ job_id }) => timesOf(job_id)));
    expect(jobs.map(({ job }) => job.stdout)).toEqual(values.map((value, i) => `${i} of 6: ${value}\n`));
    for (const { began } of jobs) {
      expect(jobs.filter((other) => other.began <= began && other.ended > began).length).toBeLessThanOrEqual(2);
    }

    const rerun = await berth.request('POST', `${path}/rerun`);
    expect(rerun.body).toMatchObject({ rerun: 1, array: { counts: { pending: 1, completed: 5, failed: 0 } } });
    await untilEnded();
    const again = (await berth.request('GET', `${path}/jobs?state=failed`)).body.jobs as typeof entries;
    expect(again.map(({ index }) => index)).toEqual([4]);
    expect(again[0]?.job_id).not.toBe(entries[4]?.job_id);
  });
});
