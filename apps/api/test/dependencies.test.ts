import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { expectProblem, openTestApi, settleJob, startJob, type TestApi, until } from './open-test-api.js';
import { openOwn } from './own-redis.js';

let api: TestApi;
beforeAll(async () => {
  api = await openTestApi('dependencies');
});
afterAll(() => api.close());

const behind = (...jobs: string[]) => ({ after: jobs.map((job) => ({ job })) });
const stateOf = async (job_id: string) => {
  const { body } = await api.send('GET', `/v1/jobs/${job_id}`);
  return { state: body.state, cause: body.cause, waiting_for: body.waiting_for };
};
const batch = async (jobs: unknown[]) => api.send('POST', '/v1/jobs:batch', { body: { jobs } });
const job = (more: object = {}) => ({ command: 'true', ...more });

describe('POST /v1/jobs with after', () => {
  it('answers with what the job waits for, and moves it on when that has ended', async () => {
    const parent = await api.submit();
    const reply = await api.send('POST', '/v1/jobs', { body: job(behind(parent)) });
    expect(reply.status).toBe(201);
    expect(reply.body).toMatchObject({
      state: 'pending',
      waiting_for: 'dependencies',
      spec: { after: [{ job: parent, condition: 'completed' }] },
    });
    const child = reply.body.job_id;
    expect(await stateOf(child)).toEqual({ state: 'pending', cause: null, waiting_for: 'dependencies' });
    const claim = await startJob(api.store, parent);
    await settleJob(api.store, claim);
    expect(await stateOf(child)).toEqual({ state: 'pending', cause: null, waiting_for: null });
    await until('its ticket', async () => (await api.store.list.countQueued('small')).dispatched === 1);
  });

  it('wakes whoever waits for a job that is cut off', async () => {
    const parent = await api.submit();
    const child = await api.submit(behind(parent));
    const waiting = api.send('GET', `/v1/jobs/${child}?wait=20`);
    await api.send('POST', `/v1/jobs/${parent}/cancel`);
    const { body } = await waiting;
    expect(body).toMatchObject({ state: 'cancelled', cause: 'dependency_failed', waiting_for: null });
    expect(body.message).toBe(`It was to run after ${parent} had completed, which ended as cancelled.`);
  });

  it('accepts a job that can never run, and shows its end in the answer', async () => {
    const parent = await api.submit();
    await api.send('POST', `/v1/jobs/${parent}/cancel`);
    const reply = await api.send('POST', '/v1/jobs', { body: job(behind(parent)) });
    expect(reply.status).toBe(201);
    expect(reply.body).toMatchObject({ state: 'cancelled', cause: 'dependency_failed' });
  });

  it.each<[string, unknown, number, string]>([
    ['a job that is not there', [{ job: '01890000-0000-7000-8000-000000000000' }], 422, '$.after[0].job'],
    ['a place outside a batch', [{ job: '#0' }], 400, '$.after[0].job'],
    ['no id', [{ job: 'x' }], 400, '$.after[0].job'],
    ['an unknown condition', [{ job: '#0', condition: 'started' }], 400, '$.after[0].condition'],
    ['too many', Array.from({ length: 1_001 }, () => ({ job: '#0' })), 400, '$.after'],
  ])('refuses %s, and says where it stands', async (_what, named, status, path) => {
    const reply = await api.send('POST', '/v1/jobs', { body: job({ after: named }) });
    expectProblem(reply);
    expect(reply.status).toBe(status);
    expect(reply.body.errors).toEqual([{ path, message: expect.any(String) }]);
  });
});

describe('a batch whose entries run after each other', () => {
  it('takes places for entries before, and refuses only what depends on a refused one', async () => {
    const { status, body } = await batch([
      job(),
      job(behind('#0')),
      { command: '' },
      job(behind('#1', '#2')),
      job(behind('#3')),
      job(behind('#5')),
      job(behind('#9')),
      job(behind('#0', '#1')),
    ]);
    expect(status).toBe(200);
    // biome-ignore lint/suspicious/noExplicitAny: an answer of either shape
    expect(body.results.map((one: any) => one.status)).toEqual([201, 201, 400, 422, 422, 400, 400, 201]);
    expect(body.results[3].error.errors).toEqual([
      { path: '$.after[1].job', message: 'names entry #2, which was refused' },
    ]);
    expect(body.results[5].error.errors).toEqual([{ path: '$.after[0].job', message: 'must name an earlier entry' }]);
    const ids = body.results.map((one: { job?: { job_id: string } }) => one.job?.job_id);
    const { body: last } = await api.send('GET', `/v1/jobs/${ids[7]}`);
    expect(last.spec.after).toEqual([ids[0], ids[1]].map((id) => ({ job: id, condition: 'completed' })));
    expect(last.waiting_for).toBe('dependencies');
  });

  it('takes a chain across windows, also where the broker has forgotten the scripts', async () => {
    const { api: own, redis } = await openOwn();
    await redis.script('FLUSH');
    const jobs = Array.from({ length: 600 }, (_, i) => job(i === 0 ? {} : behind(`#${i - 1}`)));
    const { body } = await own.send('POST', '/v1/jobs:batch', { body: { jobs } });
    expect(body.results.filter((one: { status: number }) => one.status !== 201)).toEqual([]);
  });

  it('takes a graph of 10,000 jobs, and the failure of its root ends all of them', async () => {
    const jobs = Array.from({ length: 10_000 }, (_, i) =>
      job(i === 0 ? {} : behind(`#${Math.floor((i - 1) / 2)}`, ...(i > 2 ? [`#${i - 1}`] : []))),
    );
    const cancelled = async () => (await api.store.list.countByState(['cancelled'])).cancelled;
    const before = await cancelled();
    const { status, body } = await batch(jobs);
    expect(status).toBe(200);
    expect(body.results.filter((one: { status: number }) => one.status === 201)).toHaveLength(10_000);
    const root = body.results[0].job.job_id;
    await settleJob(api.store, await startJob(api.store, root), { type: 'failed', cause: 'exit_code', exit_code: 1 });
    await until('all to be cut off', async () => (await cancelled()) === before + 9_999, 200_000);
    expect(await stateOf(body.results[9_999].job.job_id)).toMatchObject({ cause: 'dependency_failed' });
  }, 300_000);

  it('refuses 10,001', async () => {
    const reply = await batch(Array.from({ length: 10_001 }, () => job()));
    expectProblem(reply);
    expect(reply.status).toBe(413);
  });
});
