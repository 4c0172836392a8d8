import { openRedis } from '@berth/store';
import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest';
import { openTestApi, settleJob, startJob, type TestApi, until } from './open-test-api.js';

const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}$/;
const SAMPLE = { docker_image: 'busybox:stable', command: ['echo', 'hi'], cpu_cores: 1, memory_gb: 1 };

describe("the workload runner's lists and passes", () => {
  let api: TestApi;
  let now = Date.now;
  beforeAll(async () => {
    api = await openTestApi('compat-workload-list', {}, { now: () => now() });
  });
  afterAll(() => api.close());
  const submit = async (more: object = {}): Promise<string> => {
    const { status, text, body } = await api.send('POST', '/jobs', { body: { ...SAMPLE, ...more } });
    if (status !== 201) throw new Error(`expected 201, got ${status}: ${text}`);
    return body.job_id;
  };
  const list = async (query: string): Promise<[string, string][]> =>
    (await api.send('GET', `/jobs?${query}`)).body.map((job: { job_id: string; status: string }) => [
      job.job_id,
      job.status,
    ]);

  it('filters before it cuts, newest first, its own jobs only', async () => {
    const failed = await submit();
    await settleJob(api.store, await startJob(api.store, failed), { type: 'failed', cause: 'exit_code', exit_code: 1 });
    const aborted = await submit();
    await api.send('DELETE', `/jobs/${aborted}`);
    const aborting = await submit();
    const claim = await startJob(api.store, aborting);
    await api.send('DELETE', `/jobs/${aborting}`);
    const running = await submit();
    const held = await startJob(api.store, running);
    const pending = [await submit(), await submit(), await submit()];
    await api.submit();
    await api.send('POST', '/jobs', { body: { command: 'true' } });

    expect(await list('status_filter=failed&limit=1')).toEqual([[aborting, 'failed']]);
    expect(await list('status_filter=failed')).toEqual([
      [aborting, 'failed'],
      [aborted, 'failed'],
      [failed, 'failed'],
    ]);
    expect(await list('status_filter=running')).toEqual([[running, 'running']]);
    expect(await list('status_filter=succeeded')).toEqual([]);
    expect(await list('limit=2')).toEqual([
      [pending[2], 'pending'],
      [pending[1], 'pending'],
    ]);
    expect((await list('')).length).toBe(7);

    await settleJob(api.store, claim);
    await settleJob(api.store, held);
    for (const job_id of pending) await api.send('DELETE', `/jobs/${job_id}`);
  });

  it('tells of machines by what their ledgers hold', async () => {
    const at = Date.now();
    await api.store.workers.report({
      worker: 'w1',
      node: 'node-1',
      engine: 'engine-x',
      version: '0',
      engine_version: '0',
      oci_runtime: 'crun',
      capacity: { centicpus: 400, memory_mb: 8192, gpus: 0 },
      classes: ['small'],
      running: 1,
      started_at: at,
      at,
    });
    const job_id = await submit({ cpu_cores: 2, memory_gb: 1 });
    const capacity = { centicpus: 400, memory_mb: 8192, gpus: 0 };
    const reply = await api.store.claims.claim(job_id, {
      worker: 'w1',
      engine: 'engine-x',
      node: 'node-1',
      labels: {},
      region: 'default',
      datacenter: 'default',
      gpus: [],
      capacity,
    });
    if (reply.kind !== 'claimed') throw new Error(`expected to claim, got ${reply.kind}`);

    const cluster_stats = {
      total_executors: 1,
      total_cpu_cores: 4,
      available_cpu_cores: 2,
      total_memory_gb: 8,
      available_memory_gb: 7,
      cluster_cpu_utilization: 50,
      cluster_memory_utilization: 12.5,
    };
    const executors = await api.send('GET', '/executors');
    expect(executors.status).toBe(200);
    expect(executors.body).toEqual({
      executors: [
        {
          ip: 'node-1',
          total_cpu_cores: 4,
          available_cpu_cores: 2,
          total_memory_gb: 8,
          available_memory_gb: 7,
          gpu_types: [],
          total_gpus: 0,
          available_gpus: 0,
          region: 'default',
          datacenter: 'default',
          last_heartbeat: expect.stringMatching(TIME),
          cpu_utilization: 50,
          memory_utilization: 12.5,
          running_jobs: 1,
        },
      ],
      cluster_stats,
    });

    for (const { state, job_id: other } of (await api.store.list.list({}, 100)).jobs) {
      if (state === 'pending') await api.store.jobs.cancel(other);
    }
    const oldest = await submit({ cpu_cores: 2, memory_gb: 4 });
    const others = [
      await submit({ cpu_cores: 3, memory_gb: 1 }),
      await submit({ memory_gb: 16 }),
      await submit({ memory_gb: 17 }),
    ];
    const stats = await api.send('GET', '/stats');
    expect(stats.body).toEqual({
      queue: {
        pending_jobs: 4,
        running_jobs: 1,
        pending_by_size: { small: 1, medium: 2, large: 1 },
        oldest_pending_job: (await api.send('GET', `/jobs/${oldest}`)).body.created_at,
      },
      cluster: cluster_stats,
      timestamp: expect.stringMatching(TIME),
    });
    await settleJob(api.store, reply.claim);
    for (const pending of [oldest, ...others]) await api.store.jobs.cancel(pending);
    await api.store.workers.leave('w1');
  });

  it('counts more pending jobs than one page holds', async () => {
    const ids: string[] = [];
    while (ids.length < 1_100) ids.push(...(await Promise.all(Array.from({ length: 50 }, () => submit()))));
    expect((await api.send('GET', '/stats')).body.queue).toMatchObject({
      pending_jobs: 1_100,
      pending_by_size: { small: 1_100 },
    });
    expect((await list('limit=1000')).length).toBe(1_000);
    await Promise.all(ids.map((id) => api.store.jobs.cancel(id)));
    expect((await api.send('GET', '/stats')).body.queue.oldest_pending_job).toBeNull();
  });

  it('assigns nothing in a scheduling pass where nothing waits, and soon gives up on what nobody takes', async () => {
    const nothing = { scheduled_jobs: 0, assignments: [] };
    expect((await api.send('POST', '/schedule')).body).toEqual(nothing);
    const job_id = await submit();
    const reply = await api.send('POST', '/schedule');
    expect([reply.status, reply.body]).toEqual([200, nothing]);
    await api.store.jobs.cancel(job_id);
  });

  it('has a job run where its region, datacenter and GPUs are, and nowhere else, and tells the truth of it', async () => {
    const gpus = [
      { index: 0, uuid: 'GPU-a', name: 'Tesla T4', memory_mb: 16_000 },
      { index: 1, uuid: 'GPU-b', name: 'Tesla T4', memory_mb: 16_000 },
    ];
    const capacity = { centicpus: 400, memory_mb: 8192, gpus: 2 };
    const machine = { worker: 'w2', node: 'node-2', engine: 'engine-y', labels: {}, gpus, capacity };
    const us = { ...machine, region: 'us-east-1', datacenter: 'dc1' };
    const versions = { version: '0', engine_version: '0', oci_runtime: 'crun' };
    await api.store.workers.report({ ...us, ...versions, classes: ['gpu'], running: 0, started_at: 0 });
    const place = { eligible_regions: ['us-east-1', 'us-west-1'], eligible_datacenters: ['dc1'] };
    const job_id = await submit({ gpu_type: 'tesla t4', gpu_count: 2, ...place });
    const record = (await api.send('GET', `/jobs/${job_id}`)).body;
    expect(record).toMatchObject({ ...place, gpu_type: 'tesla t4', gpu_count: 2, status: 'pending' });
    for (const other of [
      { ...us, region: 'default' },
      { ...us, datacenter: 'dc2' },
      { ...us, gpus: gpus.slice(0, 1) },
      { ...us, gpus: gpus.map((gpu) => ({ ...gpu, name: 'A100' })) },
      { ...us, capacity: { ...capacity, centicpus: 99 } },
    ]) {
      expect((await api.store.claims.claim(job_id, other)).kind).toBe('none');
    }
    const idle = (await api.send('GET', '/executors')).body.executors[0];
    expect(idle).toMatchObject({ ip: 'node-2', gpu_types: ['Tesla T4'], total_gpus: 2, available_gpus: 2 });
    expect(idle).toMatchObject({ region: 'us-east-1', datacenter: 'dc1', running_jobs: 0 });
    const reply = await api.store.claims.claim(job_id, us);
    if (reply.kind !== 'claimed') throw new Error(`expected to claim, got ${reply.kind}`);
    expect(reply.claim.gpu_uuids).toEqual(['GPU-a', 'GPU-b']);
    const busy = (await api.send('GET', '/executors')).body.executors[0];
    expect(busy).toEqual({
      ...idle,
      available_cpu_cores: 3,
      available_memory_gb: 7,
      available_gpus: 0,
      cpu_utilization: 25,
      memory_utilization: 12.5,
      running_jobs: 1,
    });
    await settleJob(api.store, reply.claim);
    await api.store.workers.leave('w2');
  });

  it('reports in a scheduling pass the jobs of its own format that workers take meanwhile', async () => {
    const job_id = await submit();
    const other = await api.submit();
    const { feed } = api.context;
    const watching = vi.spyOn(feed, 'subscribe');
    onTestFinished(() => watching.mockRestore());
    // The pass is over when its time is, or when nothing is pending: the one is held, and of the other one is left.
    const left = await api.submit();
    const present = Date.now();
    now = () => present;
    const passing = api.send('POST', '/schedule');
    await until('the pass to begin', () => watching.mock.calls.length > 0);
    const claimed: string[] = [];
    onTestFinished(
      feed.subscribe((event) => event !== 'resynced' && event.type === 'claimed' && claimed.push(event.job_id)),
    );
    const claims = [await startJob(api.store, job_id), await startJob(api.store, other)];
    await until('the claims to be heard', () => claimed.length === 2);
    now = Date.now;
    expect((await passing).body).toEqual({ scheduled_jobs: 1, assignments: [{ job_id, executor_ip: 'n' }] });
    for (const claim of claims) await settleJob(api.store, claim);
    await api.store.jobs.cancel(left);
  });

  it('fails in a clean-up what has waited too long, and says how many', async () => {
    const late = [await submit({ gpu_type: 'any' }), await submit({ eligible_regions: ['nowhere'] })];
    const redis = openRedis(process.env.REDIS_URL ?? '', 'steady');
    onTestFinished(() => redis.disconnect());
    const inTime = await submit();
    for (const job_id of late) await redis.zadd(api.store.keys.queueDeadlines, 1, job_id);
    const { cleaned_jobs } = (await api.send('POST', '/cleanup')).body;
    // Nobody promises that the timer of the API does not come first.
    expect(cleaned_jobs).toBeLessThanOrEqual(2);
    for (const job_id of late) {
      expect((await api.send('GET', `/jobs/${job_id}`)).body.status).toBe('failed');
      expect((await api.store.jobs.read(job_id))?.cause).toBe('queue_timeout');
    }
    expect((await api.send('GET', `/jobs/${inTime}`)).body.status).toBe('pending');
    await api.store.jobs.cancel(inTime);
  });

  it('fails a job that waited longer than it may, by itself', async () => {
    const job_id = await submit({ gpu_type: 'any' });
    const other = await submit({ gpu_type: 'any' });
    const redis = openRedis(process.env.REDIS_URL ?? '', 'steady');
    onTestFinished(() => redis.disconnect());
    await redis.zadd(api.store.keys.queueDeadlines, 1, job_id);
    await until('the job to fail', async () => (await api.send('GET', `/jobs/${job_id}`)).body.status === 'failed');
    expect(await api.store.jobs.read(job_id)).toMatchObject({ cause: 'queue_timeout', epoch: 0 });
    expect((await api.send('GET', `/jobs/${other}`)).body.status).toBe('pending');
    expect(await redis.zcard(api.store.keys.queueDeadlines)).toBeGreaterThan(0);
    await api.store.jobs.cancel(other);
  });

  it('never ends a healthy job in a clean-up', async () => {
    const job_id = await submit();
    const claim = await startJob(api.store, job_id);
    const reply = await api.send('POST', '/cleanup?timeout_minutes=0');
    expect([reply.status, reply.body]).toEqual([200, { cleaned_jobs: 0, timeout_minutes: 0 }]);
    expect((await api.send('POST', '/cleanup')).body).toEqual({ cleaned_jobs: 0, timeout_minutes: 60 });
    expect((await api.send('GET', `/jobs/${job_id}`)).body.status).toBe('running');
    await settleJob(api.store, claim);
  });
});
