import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openTestApi, type Reply, settleJob, startJob, type TestApi, writeLog } from './open-test-api.js';

const ID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/;
const KEYS = ['job_id', 'status', 'exit_code', 'stdout', 'stderr', 'runtime_ms', 'created_at', 'completed_at'];

/** The coordinator's wire format, row by row of what its clients saw. */
describe("the coordinator's format", () => {
  let api: TestApi;
  beforeAll(async () => {
    api = await openTestApi('compat-coordinator');
  });
  afterAll(() => api.close());

  const submit = async (body: object): Promise<string> => (await api.send('POST', '/jobs', { body })).body.job_id;
  const read = (job_id: string): Promise<Reply> => api.send('GET', `/jobs/${job_id}`);
  const write = (job_id: string, stream: 'stdout' | 'stderr', text: string): Promise<void> =>
    writeLog(api.store, job_id, [{ stream, attempt: 1, bytes: Buffer.from(text) }]);

  it('takes a command and answers 200 with three keys', async () => {
    const reply = await api.send('POST', '/jobs', { body: { command: 'uname -a', timeout: 30, unknown: 1 } });
    expect(reply.status).toBe(200);
    expect(Object.keys(reply.body)).toEqual(['job_id', 'status', 'created_at']);
    expect(reply.body).toEqual({
      job_id: expect.stringMatching(ID),
      status: 'pending',
      created_at: expect.stringMatching(TIME),
    });
    const job = await api.store.jobs.read(reply.body.job_id);
    expect(job).toMatchObject({
      format: 'coordinator',
      spec: { command: 'uname -a', timeout_seconds: 30, network: 'egress', image: 'busybox:stable' },
    });
  });

  it('runs for 30 seconds at the most where nothing is said', async () => {
    const job = await api.store.jobs.read(await submit({ command: 'true' }));
    expect(job?.spec.timeout_seconds).toBe(30);
  });

  const body = { command: 'true' };
  const ge = { type: 'greater_than_equal', msg: 'Input should be greater than or equal to 1', ctx: { ge: 1 } };
  const refusals: [string, unknown, unknown][] = [
    ['no command', {}, { type: 'missing', loc: ['body', 'command'], msg: 'Field required', input: {} }],
    [
      'timeout 301',
      { ...body, timeout: 301 },
      {
        type: 'less_than_equal',
        loc: ['body', 'timeout'],
        msg: 'Input should be less than or equal to 300',
        input: 301,
        ctx: { le: 300 },
      },
    ],
    ['timeout 0', { ...body, timeout: 0 }, { ...ge, loc: ['body', 'timeout'], input: 0 }],
    [
      'a number as command',
      { command: 5 },
      { type: 'string_type', loc: ['body', 'command'], msg: 'Input should be a valid string', input: 5 },
    ],
    [
      'a timeout in words',
      { ...body, timeout: 'soon' },
      {
        type: 'int_parsing',
        loc: ['body', 'timeout'],
        msg: 'Input should be a valid integer, unable to parse string as an integer',
        input: 'soon',
      },
    ],
    [
      'half a second',
      { ...body, timeout: 1.5 },
      {
        type: 'int_from_float',
        loc: ['body', 'timeout'],
        msg: 'Input should be a valid integer, got a number with a fractional part',
        input: 1.5,
      },
    ],
    [
      'no timeout at all',
      { ...body, timeout: null },
      { type: 'int_type', loc: ['body', 'timeout'], msg: 'Input should be a valid integer', input: null },
    ],
    [
      'a list',
      '[1]',
      {
        type: 'model_attributes_type',
        loc: ['body'],
        msg: 'Input should be a valid dictionary or object to extract fields from',
        input: [1],
      },
    ],
    [
      'no JSON',
      '{"command": "true",}',
      {
        type: 'json_invalid',
        loc: ['body', 19],
        msg: 'JSON decode error',
        input: {},
        ctx: { error: 'Expecting valid JSON' },
      },
    ],
  ];
  it.each(refusals)('refuses %s with 422', async (_, sent, detail) => {
    const reply = await api.send('POST', '/jobs', { body: sent as object });
    expect(reply.status).toBe(422);
    expect(reply.headers['content-type']).toBe('application/json');
    expect(reply.body).toEqual({ detail: [detail] });
  });

  it('takes a timeout as those services did: a string of digits too', async () => {
    const job = await api.store.jobs.read(await submit({ command: 'true', timeout: '45' }));
    expect(job?.spec.timeout_seconds).toBe(45);
  });

  it('refuses a body that does not say that it is JSON, and one that is absent', async () => {
    const form = await api.send('POST', '/jobs', {
      body: '{"command":"true"}',
      headers: { 'content-type': 'text/plain' },
    });
    expect(form.status).toBe(422);
    expect(form.body.detail[0]).toMatchObject({ type: 'model_attributes_type', input: '{"command":"true"}' });
    const none = await api.send('POST', '/jobs', { headers: { 'content-type': 'application/json' } });
    expect(none.body).toEqual({ detail: [{ type: 'missing', loc: ['body'], msg: 'Field required', input: null }] });
  });

  it('refuses a blank command at once', async () => {
    const reply = await api.send('POST', '/jobs', { body: { command: ' \n' } });
    expect([reply.status, reply.body]).toEqual([400, { detail: 'Command cannot be empty' }]);
  });

  it('refuses what no argument can hold, and a body that is too large', async () => {
    const reply = await api.send('POST', '/jobs', { body: { command: 'x'.repeat(140_000) } });
    expect(reply.status).toBe(422);
    expect(reply.body.detail[0]).toMatchObject({ type: 'value_error', loc: ['body', 'command'] });
    const large = await api.send('POST', '/jobs', { body: { command: 'x'.repeat(300_000) } });
    expect([large.status, Object.keys(large.body)]).toEqual([413, ['detail']]);
  });

  it('answers a pending and a running job with all eight keys', async () => {
    const job_id = await submit({ command: 'echo hi' });
    const ended = { exit_code: null, stdout: null, stderr: null, runtime_ms: null, completed_at: null };
    const pending = await read(job_id);
    expect(pending.status).toBe(200);
    expect(Object.keys(pending.body)).toEqual(KEYS);
    expect(pending.body).toEqual({ job_id, status: 'pending', created_at: expect.stringMatching(TIME), ...ended });
    await startJob(api.store, job_id);
    await write(job_id, 'stdout', 'half of it');
    expect((await read(job_id)).body).toEqual({ ...pending.body, status: 'running' });
  });

  interface End {
    type?: 'completed' | 'failed';
    cause: string | null;
    exit_code: number | null;
    message?: string;
    stdout?: string;
    stderr?: string;
  }
  const ends: [string, End, object][] = [
    [
      'exit 0',
      { type: 'completed', cause: null, exit_code: 0, stdout: 'hi\n' },
      { status: 'completed', exit_code: 0, stdout: 'hi\n', stderr: '' },
    ],
    [
      'exit 3',
      { cause: 'exit_code', exit_code: 3, stdout: 'a\n', stderr: 'b\n' },
      { status: 'failed', exit_code: 3, stdout: 'a\n', stderr: 'b\n' },
    ],
    [
      'a timeout',
      { cause: 'timeout', exit_code: 143 },
      { status: 'failed', exit_code: -1, stdout: null, stderr: 'Job execution timeout' },
    ],
    [
      'a timeout after some output',
      { cause: 'timeout', exit_code: 137, stdout: 'half', stderr: 'noise' },
      { status: 'failed', exit_code: -1, stdout: 'half', stderr: 'Job execution timeout' },
    ],
    [
      'no such image',
      { cause: 'image_not_found', exit_code: null, message: 'nobody knows it' },
      { status: 'failed', exit_code: -1, stdout: null, stderr: 'Image not found: nobody knows it' },
    ],
    [
      'too much memory',
      { cause: 'out_of_memory', exit_code: 137, stderr: 'growing' },
      { status: 'failed', exit_code: 137, stdout: null, stderr: 'growing\nJob ran out of memory' },
    ],
  ];
  it.each(ends)('tells of an end by %s', async (_, end, expected) => {
    const job_id = await submit({ command: 'anything' });
    const claim = await startJob(api.store, job_id);
    if (end.stdout) await write(job_id, 'stdout', end.stdout);
    if (end.stderr) await write(job_id, 'stderr', end.stderr);
    const { type = 'failed', cause, exit_code, message = null } = end;
    await settleJob(api.store, claim, { type, cause, exit_code, message });
    const { body } = await read(job_id);
    expect(Object.keys(body)).toEqual(KEYS);
    expect(body).toEqual({
      job_id,
      ...expected,
      runtime_ms: expect.any(Number),
      created_at: expect.stringMatching(TIME),
      completed_at: expect.stringMatching(TIME),
    });
  });

  it('gives the whole output, far beyond what /v1 shows, and any bytes', async () => {
    const job_id = await submit({ command: 'anything' });
    const claim = await startJob(api.store, job_id);
    const line = `${'x'.repeat(1023)}\n`;
    await write(job_id, 'stdout', line.repeat(1024));
    await writeLog(api.store, job_id, [{ stream: 'stderr', attempt: 1, bytes: Buffer.from([0x61, 0xff, 0x62]) }]);
    await settleJob(api.store, claim);
    const { body } = await read(job_id);
    expect(body.stdout).toBe(line.repeat(1024));
    expect(body.stderr).toBe('a\uFFFDb');
  });

  it('shows a job that was cancelled by /v1 as failed', async () => {
    const job_id = await submit({ command: 'sleep 9' });
    await api.send('POST', `/v1/jobs/${job_id}/cancel`);
    const { body } = await read(job_id);
    expect(body).toMatchObject({
      status: 'failed',
      exit_code: -1,
      stdout: null,
      stderr: 'Job was cancelled',
      runtime_ms: 0,
    });
  });

  it.each([
    ['GET', '/jobs/nope', 404, { detail: 'Job not found' }],
    ['PUT', '/jobs', 405, { detail: 'Method Not Allowed' }],
    ['POST', '/jobs/nope', 405, { detail: 'Method Not Allowed' }],
  ])('answers %s %s with %d', async (method, path, status, expected) => {
    const reply = await api.send(method, path);
    expect([reply.status, reply.body]).toEqual([status, expected]);
  });

  it('does not delete: 405 for a job of its own', async () => {
    const job_id = await submit({ command: 'true' });
    const reply = await api.send('DELETE', `/jobs/${job_id}`);
    expect([reply.status, reply.body, reply.headers.allow]).toEqual([405, { detail: 'Method Not Allowed' }, 'GET']);
    expect((await read(job_id)).body.status).toBe('pending');
  });

  it('is healthy in words that its clients look for', async () => {
    const { status, body } = await api.send('GET', '/health');
    expect(status).toBe(200);
    expect(body).toMatchObject({ status: 'healthy', service: 'coordinator' });
  });

  it('has its metrics under their names', async () => {
    const { status, text, headers } = await api.send('GET', '/metrics');
    expect(status).toBe(200);
    expect(headers['content-type']).toContain('text/plain');
    for (const name of ['jobs_total', 'jobs_completed_total', 'jobs_failed_total']) {
      expect(text).toMatch(new RegExp(`^# TYPE ${name} counter\\n${name} \\d+$`, 'm'));
    }
    expect(text).toContain('# TYPE job_runtime_seconds histogram');
    expect(text).toMatch(/^job_runtime_seconds_bucket\{.*le="\+Inf".*\} \d+$/m);
  });
});
