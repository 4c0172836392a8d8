import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Berth, startBerth } from '../harness.js';

/** Cancel means cancelled: at once, once, and with the container gone. */
describe('cancel', () => {
  let berth: Berth;
  beforeAll(async () => {
    berth = await startBerth({ env: { BERTH_CPUS: '2' } });
  });
  afterAll(() => berth.close());

  const cancel = (job_id: string) => berth.request('POST', `/v1/jobs/${job_id}/cancel`);

  it('stops a running container with TERM, and gives the same answer twice', async () => {
    const { job_id } = await berth.submit({
      command: "trap 'echo got TERM; exit 0' TERM; echo up; while true; do sleep 0.1; done",
    });
    await berth.waitForOutput(job_id, 'up\n');
    expect((await cancel(job_id)).status).toBe(200);
    const job = await berth.wait(job_id);
    expect(job).toMatchObject({ state: 'cancelled', cause: 'cancelled', exit_code: 0, stdout: 'up\ngot TERM\n' });
    const again = await cancel(job_id);
    expect(again.status).toBe(200);
    expect(again.body.state).toBe('cancelled');
  });

  it('kills what ignores TERM after the grace time', async () => {
    const { job_id } = await berth.submit({
      command: "trap '' TERM; echo deaf; while true; do sleep 0.1; done",
      stop_grace_seconds: 1,
    });
    await berth.waitForOutput(job_id, 'deaf\n');
    await cancel(job_id);
    expect(await berth.wait(job_id)).toMatchObject({ state: 'cancelled', exit_code: 137 });
  });

  it('never starts a job that was cancelled while it waited', async () => {
    const blocker = await berth.submit({ command: ['sleep', '600'], cpus: 2, stop_grace_seconds: 0 });
    await berth.waitForState(blocker.job_id, 'running');
    const waiting = await berth.submit({ command: ['echo', 'never'], cpus: 2 });
    expect((await cancel(waiting.job_id)).body.state).toBe('cancelled');
    await cancel(blocker.job_id);
    await berth.wait(blocker.job_id);
    const after = await berth.submit({ command: ['true'], cpus: 2 });
    await berth.wait(after.job_id);
    const job = await berth.wait(waiting.job_id);
    expect(job).toMatchObject({ state: 'cancelled', started_at: null, stdout: '' });
  });

  it('refuses to cancel a finished job, with its state', async () => {
    const { job_id } = await berth.submit({ command: ['true'] });
    await berth.wait(job_id);
    const reply = await cancel(job_id);
    expect(reply.status).toBe(409);
    expect(reply.body).toMatchObject({ code: 'job_finished', state: 'completed' });
  });
});
