import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { claimJob, openTestApi, type Reply, settleJob, startJob, type TestApi } from './open-test-api.js';

const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}$/;
const SAMPLE = { docker_image: 'busybox:stable', command: ['echo', 'hi'], cpu_cores: 1, memory_gb: 1 };
const KEYS = [
  'job_id',
  'docker_image',
  'command',
  'cpu_cores',
  'memory_gb',
  'gpu_type',
  'gpu_count',
  'allocation_timeout',
  'eligible_regions',
  'eligible_datacenters',
  'volumes',
  'status',
  'status_date',
  'executor_ip',
  'created_at',
  'updated_at',
];

/** The workload runner's wire format, row by row of what its clients saw. */
describe("the workload runner's format", () => {
  let api: TestApi;
  beforeAll(async () => {
    api = await openTestApi('compat-workload');
  });
  afterAll(() => api.close());

  const post = (more: object = {}): Promise<Reply> => api.send('POST', '/jobs', { body: { ...SAMPLE, ...more } });
  const submit = async (more: object = {}): Promise<string> => (await post(more)).body.job_id;

  it('takes the sample and answers 201 with all sixteen keys', async () => {
    const { status, body } = await post();
    expect(status).toBe(201);
    expect(Object.keys(body)).toEqual(KEYS);
    expect(body).toEqual({
      job_id: expect.any(String),
      ...SAMPLE,
      gpu_type: null,
      gpu_count: 0,
      allocation_timeout: 300,
      eligible_regions: [],
      eligible_datacenters: [],
      volumes: [],
      status: 'pending',
      status_date: body.created_at,
      executor_ip: null,
      created_at: expect.stringMatching(TIME),
      updated_at: body.created_at,
    });
    const read = await api.send('GET', `/jobs/${body.job_id}`);
    expect([read.status, read.body]).toEqual([200, body]);
    expect((await api.store.jobs.read(body.job_id))?.spec).toMatchObject({
      image: 'busybox:stable',
      cpus: 1,
      memory_mb: 1024,
      timeout_seconds: 7 * 24 * 3600,
      network: 'egress',
    });
  });

  it('takes every field, and repeats it', async () => {
    const more = {
      command: [],
      gpu_type: 'any',
      allocation_timeout: 30,
      eligible_regions: ['default', 'elsewhere'],
      eligible_datacenters: null,
      volumes: [],
    };
    const { status, body } = await post(more);
    expect(status).toBe(201);
    expect(body).toMatchObject({ ...more, gpu_count: 1, eligible_datacenters: [] });
    expect(await api.store.jobs.read(body.job_id)).toMatchObject({ class: 'gpu', spec: { command: [] } });
  });

  const ge = (at: string, bound: number, input: unknown) => ({
    type: 'greater_than_equal',
    loc: ['body', at],
    msg: `Input should be greater than or equal to ${bound}`,
    input,
    ctx: { ge: bound },
  });
  it.each([
    [
      'a string as command',
      { command: 'echo hi' },
      { type: 'list_type', loc: ['body', 'command'], msg: 'Input should be a valid list', input: 'echo hi' },
    ],
    [
      'a number as argument',
      { command: ['echo', 1] },
      { type: 'string_type', loc: ['body', 'command', 1], msg: 'Input should be a valid string', input: 1 },
    ],
    ['no cpus', { cpu_cores: 0 }, ge('cpu_cores', 1, 0)],
    ['no memory', { memory_gb: 0 }, ge('memory_gb', 1, 0)],
    ['less than no GPUs', { gpu_count: -1 }, ge('gpu_count', 0, -1)],
    ['a short wait', { allocation_timeout: 29 }, ge('allocation_timeout', 30, 29)],
  ])('refuses %s with 422', async (_, more, detail) => {
    const reply = await post(more);
    expect([reply.status, reply.body]).toEqual([422, { detail: [detail] }]);
  });

  it('names every missing field at once', async () => {
    const { status, body } = await api.send('POST', '/jobs', { body: { command: ['true'] } });
    expect(status).toBe(422);
    expect(body.detail.map(({ type, loc }: { type: string; loc: unknown }) => [type, loc])).toEqual([
      ['missing', ['body', 'docker_image']],
      ['missing', ['body', 'cpu_cores']],
      ['missing', ['body', 'memory_gb']],
    ]);
  });

  it.each([
    ['paths of the host', { volumes: ['/:/host'] }, 'volumes'],
    ['more regions than it keeps', { eligible_regions: Array.from({ length: 65 }, String) }, 'eligible_regions'],
    ['more than any class holds', { cpu_cores: 1000 }, undefined],
    ['an image by a name that points inside', { docker_image: '10.0.0.1/x' }, 'docker_image'],
    ['no image name', { docker_image: 'UPPER CASE' }, 'docker_image'],
  ])('refuses %s with 422, and says why', async (_, more, field) => {
    const { status, body } = await post(more);
    expect(status).toBe(422);
    expect(body.detail[0]).toMatchObject({ type: 'value_error', loc: field ? ['body', field] : ['body'] });
    expect(body.detail[0].msg).toMatch(/^Value error, .{10}/);
  });

  it('follows a job: running with its machine, then succeeded', async () => {
    const job_id = await submit();
    const claim = await claimJob(api.store, job_id);
    const running = (await api.send('GET', `/jobs/${job_id}`)).body;
    expect(running).toMatchObject({ status: 'running', executor_ip: 'n' });
    expect(running.status_date >= running.created_at).toBe(true);
    await api.store.claims.start(claim, 'sha256:abc');
    expect((await api.send('GET', `/jobs/${job_id}`)).body).toEqual(running);
    await settleJob(api.store, claim);
    const ended = (await api.send('GET', `/jobs/${job_id}`)).body;
    expect(ended).toEqual({
      ...running,
      status: 'succeeded',
      status_date: expect.stringMatching(TIME),
      updated_at: ended.status_date,
    });
  });

  const abortRefusal = (status: string) => ({
    detail: `Cannot abort job in status: ${status}. Only pending or running jobs can be aborted.`,
  });

  it('aborts a pending job, once', async () => {
    const job_id = await submit();
    const reply = await api.send('DELETE', `/jobs/${job_id}`);
    expect([reply.status, reply.body.status, Object.keys(reply.body)]).toEqual([200, 'failed', KEYS]);
    const again = await api.send('DELETE', `/jobs/${job_id}`);
    expect([again.status, again.body]).toEqual([400, abortRefusal('failed')]);
  });

  it('keeps an aborted running job failed, although its program goes on to succeed', async () => {
    const job_id = await submit();
    const claim = await startJob(api.store, job_id);
    const reply = await api.send('DELETE', `/jobs/${job_id}`);
    expect([reply.status, reply.body.status]).toEqual([200, 'failed']);
    const status = async () => (await api.send('GET', `/jobs/${job_id}`)).body.status;
    expect(await status()).toBe('failed');
    expect((await api.send('DELETE', `/jobs/${job_id}`)).body).toEqual(abortRefusal('failed'));
    await settleJob(api.store, claim);
    expect(await status()).toBe('failed');
  });

  it('does not abort a job that has succeeded', async () => {
    const job_id = await submit();
    await settleJob(api.store, await startJob(api.store, job_id));
    const reply = await api.send('DELETE', `/jobs/${job_id}`);
    expect([reply.status, reply.body]).toEqual([400, abortRefusal('succeeded')]);
  });

  const unknown = '0198a3b2-0000-7000-8000-000000000000';
  const uuidError =
    'invalid character: expected an optional prefix of `urn:uuid:` followed by [0-9a-fA-F-], found `n` at 1';
  it.each([
    ['GET', `/jobs/${unknown}`, 404, { detail: `Job ${unknown} not found` }],
    ['DELETE', `/jobs/${unknown}`, 404, { detail: `Job ${unknown} not found` }],
    ['GET', `/jobs/${unknown.toUpperCase()}`, 404, { detail: `Job ${unknown} not found` }],
    [
      'DELETE',
      '/jobs/nope',
      422,
      {
        detail: [
          {
            type: 'uuid_parsing',
            loc: ['path', 'job_id'],
            msg: `Input should be a valid UUID, ${uuidError}`,
            input: 'nope',
            ctx: { error: uuidError },
          },
        ],
      },
    ],
    ['GET', '/jobs?limit=0', 400, { detail: 'Limit must be between 1 and 1000' }],
    ['GET', '/jobs?limit=1001', 400, { detail: 'Limit must be between 1 and 1000' }],
    [
      'GET',
      '/jobs?status_filter=PENDING',
      422,
      {
        detail: [
          {
            type: 'enum',
            loc: ['query', 'status_filter'],
            msg: "Input should be 'pending', 'running', 'succeeded' or 'failed'",
            input: 'PENDING',
            ctx: { expected: "'pending', 'running', 'succeeded' or 'failed'" },
          },
        ],
      },
    ],
    [
      'POST',
      '/cleanup?timeout_minutes=-1',
      422,
      {
        detail: [
          {
            type: 'greater_than_equal',
            loc: ['query', 'timeout_minutes'],
            msg: 'Input should be greater than or equal to 0',
            input: '-1',
            ctx: { ge: 0 },
          },
        ],
      },
    ],
    ['GET', '/schedule', 405, { detail: 'Method Not Allowed' }],
    ['POST', '/stats', 405, { detail: 'Method Not Allowed' }],
    ['POST', '/executors', 405, { detail: 'Method Not Allowed' }],
    ['GET', '/cleanup', 405, { detail: 'Method Not Allowed' }],
  ])('answers %s %s with %d', async (method, path, status, expected) => {
    const reply = await api.send(method, path);
    expect([reply.status, reply.body]).toEqual([status, expected]);
  });

  it('does not show jobs of /v1', async () => {
    const job_id = await api.submit();
    for (const method of ['GET', 'DELETE']) {
      const reply = await api.send(method, `/jobs/${job_id}`);
      expect([reply.status, reply.body]).toEqual([404, { detail: `Job ${job_id} not found` }]);
    }
    expect((await api.store.jobs.read(job_id))?.state).toBe('pending');
  });
});
