import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ask, type Berth, findPort, startBerth, until } from '../harness.js';

/** Clients of the systems that Berth grew from, each doing what its documentation shows. */
describe('clients of the kept wire formats', () => {
  let berth: Berth;
  let runner: string;
  beforeAll(async () => {
    const port = await findPort();
    runner = `http://127.0.0.1:${port}`;
    berth = await startBerth({ workers: 0 });
    await berth.startWorker({ BERTH_WORKER_PORT: String(port), BERTH_NODE: 'e2e-node' });
    await until('the runner to listen', async () => (await fetch(`${runner}/health`)).ok || undefined);
  });
  afterAll(() => berth.close());

  const poll = (job_id: string, done: (job: Record<string, unknown>) => boolean) =>
    until(`job ${job_id}`, async () => {
      const { body } = await berth.request('GET', `/jobs/${job_id}`);
      return done(body) ? body : undefined;
    });

  it('the coordinator: submit a command, poll, read the output, look at the metrics', async () => {
    const sent = await berth.request('POST', '/jobs', { command: 'echo hello; echo oops >&2; exit 3', timeout: 30 });
    expect(sent).toMatchObject({ status: 200, body: { status: 'pending' } });
    const job = await poll(String(sent.body.job_id), ({ completed_at }) => completed_at !== null);
    expect(job).toMatchObject({ status: 'failed', exit_code: 3, stdout: 'hello\n', stderr: 'oops\n' });

    const slow = await berth.request('POST', '/jobs', { command: 'sleep 60', timeout: 1 });
    const late = await poll(String(slow.body.job_id), ({ status }) => status === 'failed');
    expect(late).toMatchObject({ exit_code: -1, stdout: null, stderr: 'Job execution timeout' });

    expect((await berth.request('GET', '/health')).body).toMatchObject({ status: 'healthy', service: 'coordinator' });
    const metrics = String((await berth.request('GET', '/metrics')).body.text);
    expect(metrics).toMatch(/^jobs_total [1-9]/m);
    expect(metrics).toMatch(/^jobs_failed_total [1-9]/m);
    expect(metrics).toMatch(/^job_runtime_seconds_count/m);
  });

  it('the runner: one call, one answer, also for more callers than the machine holds at once', async () => {
    const execute = async (command: string) => {
      const headers = { 'content-type': 'application/json' };
      const response = await ask(`${runner}/execute`, {
        method: 'POST',
        headers,
        body: JSON.stringify({ command, timeout: 30 }),
      });
      return (await response.json()) as Record<string, unknown>;
    };
    const replies = await Promise.all(Array.from({ length: 8 }, (_, i) => execute(`sleep 0.2; echo ${i}`)));
    expect(replies.map(({ stdout, exit_code }) => [stdout, exit_code])).toEqual(
      Array.from({ length: 8 }, (_, i) => [`${i}\n`, 0]),
    );
    expect(await (await ask(`${runner}/health`)).json()).toEqual({ status: 'healthy', service: 'runner' });
    expect(await (await ask(`${runner}/metrics`)).text()).toMatch(/^executions_total [1-9]/m);
  });

  it('the workload runner: submit, poll, read the lines in Redis, abort, list, look at the cluster', async () => {
    const request = {
      docker_image: 'busybox:stable',
      command: ['/bin/sh', '-c', 'echo first; echo second'],
      cpu_cores: 1,
      memory_gb: 1,
    };
    const sent = await berth.request('POST', '/jobs', request);
    expect(sent).toMatchObject({ status: 201, body: { ...request, status: 'pending', executor_ip: null } });
    const job_id = String(sent.body.job_id);
    const done = await poll(job_id, ({ status }) => status === 'succeeded' || status === 'failed');
    expect(done).toMatchObject({ status: 'succeeded', executor_ip: 'e2e-node' });

    const redis = new Redis((process.env.REDIS_URL ?? '').replace(/^unix:\/\//, ''));
    const lines = await redis.lrange(`job_logs:${job_id}`, 0, -1);
    expect(lines.map((line) => line.replace(/^\[[^\]]+\] /, ''))).toEqual(['second', 'first']);

    const long = await berth.request('POST', '/jobs', { ...request, command: ['sleep', '300'] });
    const long_id = String(long.body.job_id);
    await poll(long_id, ({ status }) => status === 'running');
    const aborted = await berth.request('DELETE', `/jobs/${long_id}`);
    expect(aborted).toMatchObject({ status: 200, body: { status: 'failed' } });
    expect((await berth.request('DELETE', `/jobs/${long_id}`)).status).toBe(400);
    expect(await berth.wait(long_id)).toMatchObject({ state: 'cancelled' });
    expect((await berth.request('GET', `/jobs/${long_id}`)).body.status).toBe('failed');

    const failed = (await berth.request('GET', '/jobs?status_filter=failed&limit=1')).body;
    expect(failed).toMatchObject([{ job_id: long_id }]);
    const executors = (await berth.request('GET', '/executors')).body;
    expect(executors).toMatchObject({ executors: [{ ip: 'e2e-node' }], cluster_stats: { total_executors: 1 } });
    const stats = (await berth.request('GET', '/stats')).body;
    expect(stats).toMatchObject({ queue: { pending_jobs: 0, oldest_pending_job: null } });
    expect((await berth.request('POST', '/cleanup?timeout_minutes=0')).body).toEqual({
      cleaned_jobs: 0,
      timeout_minutes: 0,
    });
    await redis.del(`job_logs:${job_id}`);
    redis.disconnect();
  });
});
