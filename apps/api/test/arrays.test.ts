import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { expectProblem, openTestApi, settleJob, startJob, type TestApi, until } from './open-test-api.js';
import { openUser } from './open-users.js';

let api: TestApi;
beforeAll(async () => {
  api = await openTestApi('arrays');
});
afterAll(() => api.close());

const submit = async (array: object, more: object = {}) =>
  api.send('POST', '/v1/jobs', { body: { command: 'true', array, ...more } });
const read = async (id: string) => (await api.send('GET', `/v1/arrays/${id}`)).body;
const jobsOf = async (id: string, query = ''): Promise<{ index: number; state: string; job_id: string }[]> =>
  (await api.send('GET', `/v1/arrays/${id}/jobs${query}`)).body.jobs;
const untilJobs = async (id: string, count: number) =>
  until(`${count} jobs`, async () => (await jobsOf(id)).filter(({ job_id }) => job_id !== null).length >= count);
const end = async (job_id: string, type: 'completed' | 'failed' = 'completed') =>
  settleJob(
    api.store,
    await startJob(api.store, job_id),
    type === 'failed' ? { type, cause: 'exit_code', exit_code: 1 } : {},
  );

describe('POST /v1/jobs with array', () => {
  it('answers with the parent, whose jobs then come to be', async () => {
    const reply = await submit({ size: 3, max_running: 2 }, { name: 'sweep' });
    expect(reply.status).toBe(201);
    const id = reply.body.array_id;
    expect(reply.headers.location).toBe(`/v1/arrays/${id}`);
    expect(reply.body).toMatchObject({
      state: 'pending',
      size: 3,
      max_running: 2,
      progress: 0,
      counts: { pending: 3, running: 0, completed: 0, failed: 0, cancelled: 0 },
      spec: { name: 'sweep' },
      user: 'local',
    });
    await untilJobs(id, 3);
    const [, second] = await jobsOf(id);
    const { body: job } = await api.send('GET', `/v1/jobs/${second?.job_id}`);
    expect(job).toMatchObject({ array_id: id, array_index: 1, spec: { array_task: { index: 1, size: 3 } } });
    for (const { job_id } of await jobsOf(id)) await end(job_id);
    expect(await read(id)).toMatchObject({ state: 'completed', progress: 1, finished_at: expect.any(String) });
  });

  it('makes one array for an Idempotency-Key', async () => {
    const send = (size: number) =>
      api.send('POST', '/v1/jobs', {
        body: { command: 'true', array: { size } },
        headers: { 'idempotency-key': 'once' },
      });
    const [first, again, other] = [await send(2), await send(2), await send(3)];
    expect([first.status, again.status, other.status]).toEqual([201, 200, 422]);
    expect(again.headers['idempotent-replayed']).toBe('true');
    expect(again.body.array_id).toBe(first.body.array_id);
    const single = await api.send('POST', '/v1/jobs', {
      body: { command: 'true' },
      headers: { 'idempotency-key': 'once' },
    });
    expect(single.body.code).toBe('idempotency_key_reused');
  });

  it.each<[string, object, object, string]>([
    ['neither size nor values', { max_running: 1 }, {}, '$.array'],
    ['both', { size: 1, values: ['a'] }, {}, '$.array'],
    ['no index', { size: 0 }, {}, '$.array.size'],
    ['too many', { size: 1_000_001 }, {}, '$.array.size'],
    ['a value that is no text', { values: [1] }, {}, '$.array.values[0]'],
    ['an unknown field', { size: 1, step: 2 }, {}, '$.array.step'],
    ['a hold', { size: 1 }, { hold: true }, '$.hold'],
  ])('refuses %s', async (_what, array, more, path) => {
    const reply = await submit(array, more);
    expectProblem(reply);
    expect([reply.status, reply.body.errors[0].path]).toEqual([400, path]);
  });

  it('refuses an array in a batch', async () => {
    const { body } = await api.send('POST', '/v1/jobs:batch', {
      body: { jobs: [{ command: 'true', array: { size: 2 } }] },
    });
    expect(body.results[0].error.errors[0].path).toBe('$.array');
  });
});

describe('an array', () => {
  it('is listed by state, cancelled, and its failed jobs, and only these, run again', async () => {
    const id = (await submit({ values: ['a', 'b', 'c', 'd'] })).body.array_id;
    await untilJobs(id, 4);
    const [a, b, c] = await jobsOf(id);
    await end(a?.job_id ?? '', 'failed');
    await end(b?.job_id ?? '', 'failed');
    await end(c?.job_id ?? '');
    expect((await jobsOf(id, '?state=failed')).map(({ index }) => index)).toEqual([0, 1]);
    const page = (await api.send('GET', `/v1/arrays/${id}/jobs?state=failed&limit=1`)).body;
    expect(page.jobs.map(({ index }: { index: number }) => index)).toEqual([0]);
    expect((await jobsOf(id, `?state=failed&cursor=${page.next_cursor}`)).map(({ index }) => index)).toEqual([1]);

    const rerun = await api.send('POST', `/v1/arrays/${id}/rerun`);
    expect(rerun.body).toMatchObject({ rerun: 2, array: { counts: { pending: 3, failed: 0, completed: 1 } } });
    await until('new jobs', async () => {
      const [now] = await jobsOf(id);
      return now?.job_id !== null && now?.job_id !== a?.job_id && now?.state === 'pending';
    });
    const [again] = await jobsOf(id);
    const { body: job } = await api.send('GET', `/v1/jobs/${again?.job_id}`);
    expect(job.spec.array_task).toEqual({ array_id: id, index: 0, size: 4, value: 'a' });

    const running = await startJob(api.store, again?.job_id ?? '');
    const cancel = await api.send('POST', `/v1/arrays/${id}/cancel`);
    expect(cancel.status).toBe(200);
    expect(cancel.body.counts).toEqual({ pending: 0, running: 1, completed: 1, failed: 0, cancelled: 2 });
    await settleJob(api.store, running);
    expect(await read(id)).toMatchObject({ state: 'cancelled', progress: 1 });
    const repeat = await api.send('POST', `/v1/arrays/${id}/cancel`);
    expect([repeat.status, repeat.body.state]).toEqual([200, 'cancelled']);
    expect((await api.send('POST', `/v1/arrays/${id}/rerun`)).body.rerun).toBe(0);
  });

  it('goes on by itself as its jobs end, and is finished when the last has', async () => {
    const id = (await submit({ size: 100, max_running: 1 })).body.array_id;
    for (let ended = 0; ended < 100; ) {
      await until('jobs', async () => (await jobsOf(id, '?state=pending')).some(({ job_id }) => job_id !== null));
      const pending = (await jobsOf(id, '?state=pending')).filter(({ job_id }) => job_id !== null);
      expect(pending.length).toBeLessThanOrEqual(64);
      for (const { job_id } of pending) await end(job_id);
      ended += pending.length;
    }
    expect(await read(id)).toMatchObject({ state: 'completed', counts: { completed: 100 } });
    const refused = await api.send('POST', `/v1/arrays/${id}/cancel`);
    expect([refused.status, refused.body.code, refused.body.state]).toEqual([409, 'job_finished', 'completed']);
  });

  it('runs after others, and others after it', async () => {
    const first = await api.submit();
    const reply = await submit({ size: 2 }, { after: [{ job: first }] });
    const id = reply.body.array_id;
    expect(reply.body.waiting_for).toBe('dependencies');
    const last = await api.submit({ after: [{ job: id, condition: 'finished' }] });
    await end(first);
    await untilJobs(id, 2);
    expect((await read(id)).waiting_for).toBeNull();
    for (const { job_id } of await jobsOf(id)) await end(job_id, 'failed');
    expect((await api.send('GET', `/v1/jobs/${last}`)).body.waiting_for).toBeNull();
  });

  it('finishes a cancel that its API process has left half done', async () => {
    const id = (await submit({ size: 300 })).body.array_id;
    await untilJobs(id, 100);
    expect(await api.store.arrays.cancel(id, 'begin', 10)).toMatchObject({ kind: 'cancelled' });
    await until('the sweep', async () => (await read(id)).state === 'cancelled');
    expect((await read(id)).counts.cancelled).toBe(300);
  });

  it('is listed, newest first', async () => {
    const ids = [(await submit({ size: 1 })).body.array_id, (await submit({ size: 1 })).body.array_id];
    const { body } = await api.send('GET', '/v1/arrays?limit=1');
    expect(body.arrays.map((one: { array_id: string }) => one.array_id)).toEqual([ids[1]]);
    const next = await api.send('GET', `/v1/arrays?limit=1&cursor=${body.next_cursor}`);
    expect(next.body.arrays[0].array_id).toBe(ids[0]);
  });

  it.each(['', '/jobs', '/cancel', '/rerun'])('is a 404 where there is none: %s', async (path) => {
    for (const id of ['01890000-0000-7000-8000-000000000000', 'x']) {
      const method = path === '/cancel' || path === '/rerun' ? 'POST' : 'GET';
      const reply = await api.send(method, `/v1/arrays/${id}${path}`);
      expectProblem(reply);
      expect(reply.status).toBe(404);
    }
  });

  it.each(['x', 'MTo5OTk5OTk5OQ'])('refuses a cursor that no list gave out: %s', async (cursor) => {
    const id = (await submit({ size: 1 })).body.array_id;
    expect((await api.send('GET', `/v1/arrays/${id}/jobs?cursor=${cursor}`)).status).toBe(400);
  });
});

describe('arrays of several users', () => {
  it('do not exist for each other, and neither does a job to run after', async () => {
    const own = await openTestApi('array-users');
    onTestFinished(() => own.close());
    const [alice, bob] = [await openUser(own, 'alice'), await openUser(own, 'bob')];
    const operator = await openUser(own, 'root', 'operator');
    const array = { size: 2 };
    const made = await alice.send('POST', '/v1/jobs', { body: { command: 'true', array } });
    const id = made.body.array_id;
    expect(made.body.user).toBe('alice');
    await until('jobs', async () => (await alice.send('GET', `/v1/arrays/${id}/jobs`)).body.jobs[0].job_id !== null);
    const { job_id } = (await alice.send('GET', `/v1/arrays/${id}/jobs`)).body.jobs[0];
    expect((await alice.send('GET', `/v1/jobs/${job_id}`)).body).toMatchObject({ user: 'alice', array_id: id });
    for (const [method, path] of [
      ['GET', ''],
      ['GET', '/jobs'],
      ['POST', '/cancel'],
      ['POST', '/rerun'],
    ] as const) {
      const reply = await bob.send(method, `/v1/arrays/${id}${path}`);
      const nothing = await bob.send(method, `/v1/arrays/01890000-0000-7000-8000-000000000000${path}`);
      expect([path, reply.status, reply.text]).toEqual([path, 404, nothing.text]);
    }
    expect((await bob.send('GET', '/v1/arrays')).body.arrays).toEqual([]);
    expect((await alice.send('GET', '/v1/arrays')).body.arrays).toHaveLength(1);
    expect((await operator.send('GET', '/v1/arrays?user=alice')).body.arrays).toHaveLength(1);
    expect((await operator.send('POST', `/v1/arrays/${id}/cancel`)).status).toBe(200);
    for (const job of [id, job_id]) {
      const refused = await bob.send('POST', '/v1/jobs', { body: { command: 'true', after: [{ job }] } });
      expect([refused.status, refused.body.code]).toEqual([422, 'dependency_not_found']);
    }
  });
});
