import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Berth, startBerth, until } from '../harness.js';

/** Parts stop and start; jobs do not get lost, and nothing stays behind. */
describe('stopping and starting parts', () => {
  let berth: Berth;
  beforeAll(async () => {
    berth = await startBerth();
  });
  afterAll(() => berth.close());

  it('leaves running jobs to the next worker, which adopts them: the job notices nothing', async () => {
    const [first] = berth.workers;
    const leaver = await berth.startWorker({}, []);
    first?.kill('SIGTERM');
    await first?.ended;
    const { job_id } = await berth.submit({ command: 'echo epoch $BERTH_EPOCH; sleep 6; echo and on' });
    await berth.waitForOutput(job_id, 'epoch 1\n');
    leaver.kill('SIGTERM');
    await leaver.ended;
    expect(await berth.containers()).toEqual([`/berth-${job_id}-e1`]);
    await berth.startWorker();
    const job = await berth.wait(job_id);
    expect(job).toMatchObject({ state: 'completed', stdout: 'epoch 1\nand on\n' });
    expect(job.attempts).toHaveLength(1);
  });

  it.each([
    ['was started with --kill', ['--kill'], 1],
    ['is told twice', [], 2],
  ])(
    'gives running jobs back when a worker stops that %s, and the next worker runs them',
    async (_how, args, signals) => {
      const [before] = berth.workers.slice(-1);
      const worker = await berth.startWorker({}, args);
      before?.kill('SIGTERM');
      await before?.ended;
      const { job_id } = await berth.submit({
        command: 'if [ "$BERTH_EPOCH" = 1 ]; then echo on; sleep 60; fi; echo epoch $BERTH_EPOCH',
      });
      await berth.waitForOutput(job_id, 'on\n');
      for (let i = 0; i < signals; i += 1) {
        worker.kill('SIGTERM');
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
      await worker.ended;
      const { body } = await berth.request('GET', `/v1/jobs/${job_id}`);
      expect(body).toMatchObject({ state: 'pending', attempts: [] });
      expect(await berth.containers()).toEqual([]);

      await berth.startWorker();
      const job = await berth.wait(job_id);
      expect(job.state).toBe('completed');
      expect(job.stdout).toMatch(/epoch 2\n$/);
    },
  );

  it('stops within 5 s also while it ends a container that takes its time, and the next worker goes on with that', async () => {
    const [before] = berth.workers.slice(-1);
    const leaver = await berth.startWorker({}, []);
    before?.kill('SIGTERM');
    await before?.ended;
    const { job_id } = await berth.submit({
      command: 'trap "" TERM; echo on; while :; do sleep 1; done',
      stop_grace_seconds: 12,
    });
    await berth.waitForOutput(job_id, 'on\n');
    expect((await berth.request('POST', `/v1/jobs/${job_id}/cancel`)).status).toBe(200);
    await until('the cancel to arrive', async () => (leaver.output().includes(job_id) ? true : undefined));
    const asked = performance.now();
    leaver.kill('SIGTERM');
    await leaver.ended;
    expect(performance.now() - asked).toBeLessThan(5_000);
    await berth.startWorker();
    expect(await berth.wait(job_id)).toMatchObject({ state: 'cancelled', cause: 'cancelled' });
  });
});
