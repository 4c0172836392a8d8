import { openRedis } from '@berth/store';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { findQueues, openTestApi, startJob, type TestApi, until } from './open-test-api.js';

let api: TestApi;
beforeAll(async () => {
  api = await openTestApi('queue-timeout');
});
afterAll(() => api.close());

const read = async (job_id: string) => (await api.send('GET', `/v1/jobs/${job_id}`)).body;

describe('queue_timeout_seconds', () => {
  it('ends a job that nobody runs, in time, and says so to whoever waits for it', async () => {
    const began = Date.now();
    const job_id = await api.submit({ queue_timeout_seconds: 1 });
    const patient = await api.submit({ queue_timeout_seconds: 60 });
    const endless = await api.submit();
    const { body } = await api.send('GET', `/v1/jobs/${job_id}?wait=30`);
    expect(Date.now() - began).toBeGreaterThanOrEqual(1_000);
    expect(body).toMatchObject({
      state: 'failed',
      cause: 'queue_timeout',
      exit_code: null,
      started_at: null,
      attempts: [],
      message: expect.stringContaining('No machine had room'),
      spec: { queue_timeout_seconds: 1 },
    });
    await until('its message to go', async () => (await findQueues(api, job_id)).length === 0);
    expect((await read(patient)).state).toBe('pending');
    expect((await read(endless)).spec).not.toHaveProperty('queue_timeout_seconds');
  });

  it('lets a job alone that was claimed in time', async () => {
    const job_id = await api.submit({ queue_timeout_seconds: 60 });
    const other = await api.submit({ queue_timeout_seconds: 1 });
    const redis = openRedis(process.env.REDIS_URL ?? '', 'steady');
    onTestFinished(() => redis.disconnect());
    expect(await redis.zscore(api.store.keys.queueDeadlines, job_id)).not.toBeNull();
    await startJob(api.store, job_id);
    expect(await redis.zscore(api.store.keys.queueDeadlines, job_id)).toBeNull();
    await until('the other one to fail', async () => (await read(other)).state === 'failed');
    expect((await read(job_id)).state).toBe('running');
  });

  it('holds for each job of a batch', async () => {
    const jobs = [{ command: 'true', queue_timeout_seconds: 1 }, { command: 'true' }];
    const { body } = await api.send('POST', '/v1/jobs:batch', { body: { jobs } });
    const [first, second] = body.results.map((one: { job: { job_id: string } }) => one.job.job_id);
    await until('the first to fail', async () => (await read(first)).cause === 'queue_timeout');
    expect((await read(second)).state).toBe('pending');
  });
});
