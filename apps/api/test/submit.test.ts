import { openRedis } from '@berth/store';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { findQueues, openTestApi, settleJob, startJob, type TestApi, until, writeLog } from './open-test-api.js';

let api: TestApi;
beforeAll(async () => {
  api = await openTestApi('submit');
});
afterAll(() => api.close());

const post = (body: object, headers: Record<string, string> = {}) => api.send('POST', '/v1/jobs', { body, headers });

describe('POST /v1/jobs', () => {
  it('answers 201 with the whole job, as a read shows it a moment later', async () => {
    const created = await post({ command: ['echo', 'hi'], name: 'n', labels: { a: 'b' }, env: { K: 'v' }, cpus: 0.5 });
    expect(created.status).toBe(201);
    expect(created.headers.location).toBe(`/v1/jobs/${created.body.job_id}`);
    const read = await api.send('GET', `/v1/jobs/${created.body.job_id}`);
    expect(read.body).toEqual({ ...created.body, queue_ms: read.body.queue_ms });
    expect(created.body).toEqual({
      job_id: expect.stringMatching(/^[0-9a-f-]{36}$/),
      user: 'local',
      requeued_from: null,
      array_id: null,
      array_index: null,
      state: 'pending',
      cause: null,
      exit_code: null,
      message: null,
      waiting_for: null,
      image: 'busybox:stable',
      image_digest: null,
      command: ['echo', 'hi'],
      class: 'small',
      priority: 50,
      node: null,
      gpu_uuids: [],
      attempts: [],
      created_at: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
      started_at: null,
      finished_at: null,
      runtime_ms: null,
      queue_ms: expect.any(Number),
      stdout: '',
      stdout_truncated: false,
      stderr: '',
      stderr_truncated: false,
      spec: {
        image: 'busybox:stable',
        command: ['echo', 'hi'],
        name: 'n',
        labels: { a: 'b' },
        env: { K: 'v' },
        workdir: '/workspace',
        cpus: 0.5,
        memory_mb: 256,
        timeout_seconds: 3600,
        stop_grace_seconds: 10,
        network: 'none',
        priority: 50,
        max_attempts: 1,
        retry: {
          max_attempts: 1,
          on: ['exit_code', 'out_of_memory', 'timeout', 'image_pull_failed', 'killed_externally', 'removed_externally'],
          backoff_seconds: 1,
          max_backoff_seconds: 60,
        },
      },
    });
  });

  it('takes a retry policy whole or in its short form, and shows both wherever a job is shown', async () => {
    const retry = { max_attempts: 3, on: ['timeout'], backoff_seconds: 0.5, max_backoff_seconds: 2 };
    const { body: long } = await post({ command: 'true', retry });
    expect(long.spec).toMatchObject({ max_attempts: 3, retry });
    const { body: short } = await post({ command: 'true', max_attempts: 3 });
    expect(short.spec).toMatchObject({ max_attempts: 3, retry: { max_attempts: 3, backoff_seconds: 1 } });
    expect((await post(long.spec)).body.spec).toEqual(long.spec);
    const { body: list } = await api.send('GET', '/v1/jobs?limit=1');
    expect(list.jobs[0].spec).toEqual(long.spec);
  });

  it('shows the policy of a job that an older version accepted', async () => {
    const { body } = await post({ command: 'true', max_attempts: 2 });
    const { retry, ...old } = body.spec;
    const redis = openRedis(process.env.REDIS_URL ?? '', 'steady');
    onTestFinished(() => redis.disconnect());
    await redis.hset(api.store.keys.job(body.job_id), 'spec', JSON.stringify(old));
    expect((await api.send('GET', `/v1/jobs/${body.job_id}`)).body.spec.retry).toEqual(retry);
  });

  it('says that two numbers of attempts differ', async () => {
    const { status, body } = await post({ command: 'true', max_attempts: 2, retry: { max_attempts: 3 } });
    expect([status, body.errors.length, body.errors[0].path]).toEqual([400, 1, '$.max_attempts']);
    expect(body.errors[0].message).toContain('differs from it');
  });

  it.each([
    [{ cpus: 1, memory_mb: 1024 }, 'small'],
    [{ cpus: 1.01 }, 'medium'],
    [{ memory_mb: 1025 }, 'medium'],
    [{ cpus: 16, memory_mb: 65_536 }, 'large'],
  ])('sorts %j into %s', async (fields, name) => {
    expect((await post({ command: 'true', ...fields })).body.class).toBe(name);
  });

  it('hands the job to the queue of its class', async () => {
    const { body } = await post({ command: 'true', cpus: 8 });
    await until('the message', async () => (await findQueues(api, body.job_id)).length > 0);
    expect(await findQueues(api, body.job_id)).toEqual(['large']);
  });

  it('shows a finished job: outcome, times, attempts and the tail of its output', async () => {
    const job_id = await api.submit({ command: 'false' });
    const claim = await startJob(api.store, job_id);
    await writeLog(api.store, job_id, [
      { stream: 'stdout', attempt: 1, bytes: Buffer.from('out\xff\n', 'latin1') },
      { stream: 'stderr', attempt: 1, bytes: Buffer.alloc(70_000, 'e') },
    ]);
    await settleJob(api.store, claim, { type: 'failed', cause: 'exit_code', exit_code: 3, message: 'm' });
    const { body } = await api.send('GET', `/v1/jobs/${job_id}`);
    expect(body).toMatchObject({
      state: 'failed',
      cause: 'exit_code',
      exit_code: 3,
      message: 'm',
      node: 'n',
      image_digest: 'sha256:abc',
      stdout: 'out\ufffd\n',
      stdout_truncated: false,
      stderr_truncated: true,
    });
    expect(body.stderr).toBe('e'.repeat(64 * 1024));
    expect(body.attempts).toMatchObject([{ attempt: 1, epoch: 1, node: 'n', exit_code: 3, cause: 'exit_code' }]);
    expect(body.runtime_ms).toBe(Date.parse(body.finished_at) - Date.parse(body.started_at));
    expect(body.queue_ms).toBe(Math.max(0, Date.parse(body.started_at) - Date.parse(body.created_at)));
  });

  it('says that a job waits for its back-off', async () => {
    const job_id = await api.submit({ max_attempts: 2 });
    await settleJob(api.store, await startJob(api.store, job_id), {
      type: 'retried',
      cause: 'exit_code',
      exit_code: 1,
      delay_ms: 60_000,
    });
    const { body } = await api.send('GET', `/v1/jobs/${job_id}`);
    expect(body).toMatchObject({ state: 'pending', waiting_for: 'back_off', started_at: null, runtime_ms: null });
    expect(body.attempts).toHaveLength(1);
  });
});

describe('an Idempotency-Key', () => {
  it('makes one job of 50 concurrent submissions', async () => {
    const headers = { 'idempotency-key': 'fifty' };
    const replies = await Promise.all(Array.from({ length: 50 }, () => post({ command: 'true' }, headers)));
    expect(new Set(replies.map((reply) => reply.body.job_id)).size).toBe(1);
    expect(replies.filter((reply) => reply.status === 201)).toHaveLength(1);
    const replayed = replies.filter((reply) => reply.status === 200);
    expect(replayed).toHaveLength(49);
    expect(replayed.every((reply) => reply.headers['idempotent-replayed'] === 'true')).toBe(true);
  });

  it('row 75: answers with the job as it stands now, whatever the order of the fields', async () => {
    const headers = { 'idempotency-key': 'again' };
    const first = await post({ command: 'true', cpus: 0.5 }, headers);
    await api.send('POST', `/v1/jobs/${first.body.job_id}/cancel`);
    const again = await post({ cpus: 0.5, command: 'true', network: 'none' }, headers);
    expect(again.status).toBe(200);
    expect(again.body).toMatchObject({ job_id: first.body.job_id, state: 'cancelled' });
  });

  it('row 76: is refused with another body', async () => {
    const headers = { 'idempotency-key': 'other' };
    await post({ command: 'true' }, headers);
    const other = await post({ command: 'false' }, headers);
    expect(other.status).toBe(422);
    expect(other.body.code).toBe('idempotency_key_reused');
  });
});

describe('POST /v1/jobs:batch', () => {
  const batch = (jobs: unknown) => api.send('POST', '/v1/jobs:batch', { body: { jobs } });

  it('accepts and refuses each on its own, in order', async () => {
    const specs = [{ command: 'a' }, { command: [] }, { command: 'b', cpus: 64 }, null, { command: 'c', priority: 90 }];
    const { status, body } = await batch(specs);
    expect(status).toBe(200);
    expect(body.results.map((result: { status: number }) => result.status)).toEqual([201, 400, 422, 400, 201]);
    expect(body.results[1].error).toMatchObject({ code: 'invalid_request', errors: [{ path: '$.command' }] });
    expect(body.results[2].error.code).toBe('no_class_fits');
    const last = await api.send('GET', `/v1/jobs/${body.results[4].job.job_id}`);
    expect(last.body).toMatchObject({ command: 'c', priority: 90, state: 'pending' });
  });

  it('takes 1,000 and gives each its own id, in order of submission', async () => {
    const { body } = await batch(Array.from({ length: 1_000 }, (_, i) => ({ command: ['echo', String(i)] })));
    const ids: string[] = body.results.map((result: { job: { job_id: string } }) => result.job.job_id);
    expect(new Set(ids).size).toBe(1_000);
    expect([...ids].sort()).toEqual(ids);
    expect((await api.send('GET', `/v1/jobs/${ids[999]}`)).body.command).toEqual(['echo', '999']);
  });

  it('row 94: refuses more than 10,000, and more than 16 MiB, whole', async () => {
    expect((await batch(Array.from({ length: 10_001 }, () => ({ command: 'x' })))).status).toBe(413);
    const big = Array.from({ length: 200 }, () => ({ command: 'x'.repeat(100_000) }));
    expect((await batch(big)).status).toBe(413);
  });

  it.each([[undefined], [{}], ['x'], [null]])('refuses %j instead of a list', async (jobs) => {
    expect((await batch(jobs)).status).toBe(400);
  });

  it('refuses a field beside the list, and a key that it would not honour', async () => {
    expect((await api.send('POST', '/v1/jobs:batch', { body: { jobs: [], dry_run: true } })).status).toBe(400);
    const headers = { 'idempotency-key': 'x' };
    expect((await api.send('POST', '/v1/jobs:batch', { body: { jobs: [] }, headers })).status).toBe(400);
  });
});

describe('any body', () => {
  it('gets 201, 400 or 422 and never a 500', async () => {
    const field = fc.constantFrom('command', 'image', 'env', 'labels', 'cpus', 'memory_mb', 'name', 'workdir', 'x');
    const member = fc.tuple(field, fc.jsonValue({ maxDepth: 3 }));
    const anySpec = fc.array(member, { maxLength: 6 }).map((members) => Object.fromEntries(members));
    const likely = fc.record(
      {
        command: fc.oneof(fc.string({ unit: 'binary' }), fc.array(fc.string({ unit: 'binary' }))),
        image: fc.string(),
        env: fc.dictionary(fc.string(), fc.string({ unit: 'binary' })),
        labels: fc.dictionary(fc.string(), fc.string()),
        cpus: fc.double(),
        memory_mb: fc.double(),
        workdir: fc.string().map((text) => `/${text}`),
      },
      { requiredKeys: ['command'] },
    );
    await fc.assert(
      fc.asyncProperty(fc.oneof(anySpec, likely, fc.jsonValue()), async (body) => {
        const reply = await api.send('POST', '/v1/jobs', { body: JSON.stringify(body) });
        expect([201, 400, 422]).toContain(reply.status);
        if (reply.status !== 201) return;
        expect((await api.send('GET', `/v1/jobs/${reply.body.job_id}`)).body.command).toEqual(reply.body.command);
      }),
      { numRuns: 300 },
    );
  });
});
