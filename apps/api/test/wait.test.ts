import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openTestApi, settleJob, startJob, type TestApi, until, writeLog } from './open-test-api.js';

let api: TestApi;
beforeEach(async () => {
  api = await openTestApi('wait');
});
afterEach(() => api.close());

const wait = (job_id: string, seconds: number) => api.send('GET', `/v1/jobs/${job_id}?wait=${seconds}`);

/** Sends a wait; returns once the server has begun to wait, with the answer and the server's own wait still to come. */
const beginWait = async (job_id: string, signal?: AbortSignal) => {
  const { waiters } = api.context;
  const { waitForEnd } = waiters;
  let over: Promise<unknown> | undefined;
  waiters.waitForEnd = (id, limit) => {
    const waiting = waitForEnd(id, limit);
    over = waiting;
    return waiting;
  };
  const answer = fetch(`${api.url}/v1/jobs/${job_id}?wait=60`, signal ? { signal } : {}).then(
    (response) => response.json() as Promise<{ state: string }>,
    () => undefined,
  );
  await until('the wait to begin', () => over !== undefined);
  return { answer, over };
};

describe('?wait', () => {
  it('answers at once where the job has ended', async () => {
    const job_id = await api.submit();
    await settleJob(api.store, await startJob(api.store, job_id));
    const began = performance.now();
    expect((await wait(job_id, 60)).body.state).toBe('completed');
    expect(performance.now() - began).toBeLessThan(20_000);
  });

  it('answers when the job ends, with its output, soon after', async () => {
    const delays: number[] = [];
    for (let i = 0; i < 20; i++) {
      const job_id = await api.submit();
      const claim = await startJob(api.store, job_id);
      await writeLog(api.store, job_id, [{ stream: 'stdout', attempt: 1, bytes: Buffer.from('done\n') }]);
      const answer = wait(job_id, 60).then((reply) => ({ reply, at: performance.now() }));
      await api.send('GET', '/health');
      await settleJob(api.store, claim);
      const settled = performance.now();
      const { reply, at } = await answer;
      expect(reply.body).toMatchObject({ state: 'completed', stdout: 'done\n' });
      delays.push(at - settled);
    }
    // Not a benchmark: only that no polling loop stands in the path.
    expect(delays.sort((a, b) => a - b)[10]).toBeLessThan(250);
  });

  it('answers many who wait for one job', async () => {
    const job_id = await api.submit();
    const claim = await startJob(api.store, job_id);
    const answers = Array.from({ length: 50 }, () => wait(job_id, 30));
    await api.send('GET', '/health');
    await settleJob(api.store, claim);
    const states = (await Promise.all(answers)).map((reply) => reply.body.state);
    expect(new Set(states)).toEqual(new Set(['completed']));
  });

  it('answers with the job as it stands when the time is up', async () => {
    const job_id = await api.submit();
    const began = performance.now();
    expect((await wait(job_id, 1)).body.state).toBe('pending');
    const took = performance.now() - began;
    expect(took).toBeGreaterThan(950);
    expect(took).toBeLessThan(20_000);
  });

  it('does not take a retry for the end', async () => {
    const job_id = await api.submit({ max_attempts: 2 });
    const answer = wait(job_id, 30);
    const retried = { type: 'retried' as const, cause: 'exit_code', exit_code: 1, delay_ms: 0 };
    await settleJob(api.store, await startJob(api.store, job_id), retried);
    await api.store.backlog.releaseDue();
    await settleJob(api.store, await startJob(api.store, job_id));
    expect((await answer).body).toMatchObject({ state: 'completed', attempts: [{ attempt: 1 }, { attempt: 2 }] });
  });

  it('lets go of a client that went away', async () => {
    const stop = new AbortController();
    const { answer, over } = await beginWait(await api.submit(), stop.signal);
    stop.abort();
    expect(await answer).toBeUndefined();
    await over;
  });

  it('is over when the server shuts down', async () => {
    const { answer } = await beginWait(await api.submit());
    const began = performance.now();
    api.context.stop();
    expect((await answer)?.state).toBe('pending');
    await api.server.close();
    expect(performance.now() - began).toBeLessThan(20_000);
  });
});
