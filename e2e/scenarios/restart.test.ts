import Docker from 'dockerode';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Berth, startBerth, until } from '../harness.js';

/** Parts stop and start; jobs do not get lost, and nothing stays behind. */
describe('stopping and starting parts', () => {
  let berth: Berth;
  beforeAll(async () => {
    berth = await startBerth();
  });
  afterAll(() => berth.close());

  const findContainer = (job_id: string) => new Docker().getContainer(`berth-${job_id}-e1`);

  it('leaves running jobs to the next worker, which adopts them: the job notices nothing', async () => {
    const [first] = berth.workers;
    const leaver = await berth.startWorker({}, []);
    first?.kill('SIGTERM');
    await first?.ended;
    const { job_id } = await berth.submit({
      command: 'echo epoch $BERTH_EPOCH; until [ -e /tmp/end ]; do sleep 0.1; done; echo and on',
    });
    await berth.waitForOutput(job_id, 'epoch 1\n');
    leaver.kill('SIGTERM');
    await leaver.ended;
    expect(await berth.containers()).toEqual([`/berth-${job_id}-e1`]);
    const heir = await berth.startWorker();
    await until('the job to be adopted', async () => heir.output().includes('took over a container') || undefined);
    const ending = await findContainer(job_id).exec({ Cmd: ['touch', '/tmp/end'] });
    await ending.start({ Detach: true });
    const job = await berth.wait(job_id);
    expect(job).toMatchObject({ state: 'completed', stdout: 'epoch 1\nand on\n' });
    expect(job.attempts).toHaveLength(1);
  });

  it.each([
    ['was started with --kill', ['--kill'], ['SIGTERM']],
    // Two that differ: of two that are alike Linux drops one where the worker stands still.
    ['is told twice', [], ['SIGTERM', 'SIGINT']],
  ] as [string, string[], NodeJS.Signals[]][])(
    'gives running jobs back when a worker stops that %s, and the next worker runs them',
    async (_how, args, signals) => {
      const [before] = berth.workers.slice(-1);
      const worker = await berth.startWorker({}, args);
      before?.kill('SIGTERM');
      await before?.ended;
      const { job_id } = await berth.submit({
        command: 'if [ "$BERTH_EPOCH" = 1 ]; then echo on; sleep 600; fi; echo epoch $BERTH_EPOCH',
      });
      await berth.waitForOutput(job_id, 'on\n');
      for (const signal of signals) worker.kill(signal);
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

  it('does not wait for a container that takes its time to end, and the next worker goes on with that', async () => {
    const [before] = berth.workers.slice(-1);
    const leaver = await berth.startWorker({}, []);
    before?.kill('SIGTERM');
    await before?.ended;
    const { job_id } = await berth.submit({
      command: 'trap "echo told" TERM; echo on; while :; do sleep 0.1; done',
      stop_grace_seconds: 15,
    });
    await berth.waitForOutput(job_id, 'on\n');
    expect((await berth.request('POST', `/v1/jobs/${job_id}/cancel`)).status).toBe(200);
    await berth.waitForOutput(job_id, 'on\ntold\n');
    const asked = performance.now();
    leaver.kill('SIGTERM');
    await leaver.ended;
    expect(performance.now() - asked).toBeLessThan(10_000);
    expect((await findContainer(job_id).inspect()).State.Running).toBe(true);
    await berth.startWorker();
    expect(await berth.wait(job_id)).toMatchObject({ state: 'cancelled', cause: 'cancelled' });
  });
});
