import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Berth, startBerth, until } from '../harness.js';

/** Parts stop and start; jobs do not get lost, and nothing stays behind. */
describe('stopping and starting parts', () => {
  let berth: Berth;
  beforeAll(async () => {
    berth = await startBerth();
  });
  afterAll(() => berth.close());

  it('gives running jobs back when a worker stops, and the next worker runs them', async () => {
    const { job_id } = await berth.submit({
      command: 'if [ "$BERTH_EPOCH" = 1 ]; then sleep 60; fi; echo epoch $BERTH_EPOCH',
    });
    await berth.waitForState(job_id, 'running');
    const [worker] = berth.workers;
    worker?.kill('SIGTERM');
    await worker?.ended;
    const { body } = await berth.request('GET', `/v1/jobs/${job_id}`);
    expect(body).toMatchObject({ state: 'pending', attempts: [] });
    expect(await berth.containers()).toEqual([]);

    await berth.startWorker();
    expect(await berth.wait(job_id)).toMatchObject({ state: 'completed', stdout: 'epoch 2\n' });
  });

  it('keeps what was accepted when the API is killed and started again', async () => {
    const { job_id } = await berth.submit({ command: 'sleep 1; echo done' });
    berth.api.kill('SIGKILL');
    await berth.api.ended;
    berth.api = await berth.startApi();
    expect(await berth.wait(job_id)).toMatchObject({ state: 'completed', stdout: 'done\n' });
  });

  it('runs a job again when its worker was killed, and never two of its containers at a time', async () => {
    const { job_id } = await berth.submit({
      command: 'if [ "$BERTH_EPOCH" = 1 ]; then sleep 300; fi; echo epoch $BERTH_EPOCH',
    });
    await berth.waitForState(job_id, 'running');
    await until('the container', async () => ((await berth.containers()).length === 1 ? true : undefined));
    const last = await berth.startWorker();
    const first = await findOwner(berth, job_id);
    first.kill('SIGKILL');
    await first.ended;
    const job = await berth.wait(job_id);
    expect(job).toMatchObject({ state: 'completed' });
    expect(job.stdout).toMatch(/^epoch [23]\n$/);
    expect(job.attempts[0]).toMatchObject({ epoch: 1, cause: 'node_lost' });
    await until(
      'the old container to go',
      async () => ((await berth.containers()).length === 0 ? true : undefined),
      40_000,
    );
    expect(last.pid).not.toBe(first.pid);
  });
});

/** The worker whose log speaks of the job. */
const findOwner = async (berth: Berth, job_id: string) =>
  until('the worker that runs the job', async () =>
    [...berth.workers].reverse().find((worker) => worker.output().includes(job_id) && isAlive(worker.pid)),
  );

const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
};
