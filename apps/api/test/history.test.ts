import { openHistory } from '@berth/history';
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import type { ApiConfig } from '../src/config.js';
import {
  collect,
  expectProblem,
  openTestApi,
  readEvents,
  settleJob,
  startJob,
  type TestApi,
  until,
} from './open-test-api.js';

let now = Date.now;
let api: TestApi;

const databaseUrl = (): string => process.env.BERTH_TEST_DATABASE_URL ?? '';

const open = async (more: Partial<ApiConfig> = {}): Promise<TestApi> => {
  const opened = await openTestApi('history', { databaseUrl: databaseUrl(), ...more }, { now: () => now() });
  onTestFinished(opened.close);
  return opened;
};
beforeEach(async () => {
  now = Date.now;
  api = await open();
});

const isArchived = async (id: string): Promise<boolean> => !(await existsInRedis(id));
const existsInRedis = async (id: string): Promise<boolean> => (await api.store.archiving.readStored([id])).length > 0;

/** Lets the time pass after which finished jobs leave Redis. */
const archive = async (...ids: string[]): Promise<void> => {
  now = () => Date.now() + 3_700_000;
  for (const id of ids) await until(`${id} to leave Redis`, () => isArchived(id));
};

const finish = async (spec: object = {}, more: Parameters<typeof settleJob>[2] = {}): Promise<string> => {
  const id = await api.submit(spec);
  await settleJob(api.store, await startJob(api.store, id), more);
  return id;
};

/** Another hand on the archive of an API. */
const openHistoryOf = async ({ store }: TestApi) => {
  const history = await openHistory({ url: databaseUrl(), prefix: store.keys.prefix, onError: () => {} });
  onTestFinished(() => history.close());
  return { history };
};

const get = async (path: string) => {
  const { status, body } = await api.send('GET', path);
  expect(status).toBe(200);
  return body;
};

describe('an archived job', () => {
  it('is read as before: itself, its events, its usage, and as an event stream', async () => {
    const id = await api.submit({ name: 'one', labels: { a: 'b' } });
    const claim = await startJob(api.store, id);
    const text = Buffer.from('out\n'.repeat(1_000));
    for (const first of [1, 2]) {
      await api.store.logs.append(claim, { first, pieces: [{ stream: 'stdout', attempt: 1, bytes: text }] });
    }
    await settleJob(api.store, claim, { type: 'failed', cause: 'exit_code', exit_code: 3 });
    while ((await api.store.logs.seal(id)).kind === 'sealed');
    const paths = [
      `/v1/jobs/${id}`,
      `/v1/jobs/${id}/events`,
      `/v1/jobs/${id}/usage`,
      `/v1/jobs/${id}?wait=5`,
      '/v1/jobs',
      `/v1/jobs/${id}/logs`,
      `/v1/jobs/${id}/logs?tail=3`,
    ];
    const before = await Promise.all(paths.map(async (path) => (await api.send('GET', path)).text));
    const stream = await collect(readEvents(`${api.url}/v1/jobs/${id}/events`));
    await archive(id);
    expect(await Promise.all(paths.map(async (path) => (await api.send('GET', path)).text))).toEqual(before);
    expect(await collect(readEvents(`${api.url}/v1/jobs/${id}/events`))).toEqual(stream);
  });

  it('that never was is not there', async () => {
    const missing = await api.send('GET', '/v1/jobs/00000000-0000-7000-8000-000000000000');
    expectProblem(missing);
    expect(missing.status).toBe(404);
  });

  it('has finished: it is not cancelled, held or moved', async () => {
    const [id, cancelled] = [await finish(), await api.submit()];
    expect((await api.send('POST', `/v1/jobs/${cancelled}/cancel`)).status).toBe(200);
    const calls = (job: string): [string, string, object?][] => [
      ['POST', `/v1/jobs/${job}/cancel`],
      ['POST', `/v1/jobs/${job}/hold`],
      ['POST', `/v1/jobs/${job}/release`],
      ['PATCH', `/v1/jobs/${job}`, { body: { priority: 1 } }],
      ['GET', `/v1/jobs/${job}/explain`],
    ];
    const ask = (job: string) =>
      Promise.all(calls(job).map(async (call) => (await api.send(...call)).text.replace(/"at":"[^"]*"/, '')));
    const before = [await ask(id), await ask(cancelled)];
    await archive(id, cancelled);
    expect([await ask(id), await ask(cancelled)]).toEqual(before);
    const refused = await api.send('POST', `/v1/jobs/${id}/cancel`);
    expectProblem(refused);
    expect([refused.status, refused.body.state]).toEqual([409, 'completed']);
  });

  it('can be requeued', async () => {
    const id = await finish({ name: 'again' });
    await archive(id);
    const { status, body } = await api.send('POST', `/v1/jobs/${id}/requeue`);
    expect(status).toBe(201);
    expect(body).toMatchObject({ requeued_from: id, spec: { name: 'again' }, state: 'pending' });
  });

  it('is what its Idempotency-Key made', async () => {
    const sent = { body: { command: 'true' }, headers: { 'idempotency-key': 'once' } };
    const { job_id } = (await api.send('POST', '/v1/jobs', sent)).body;
    await settleJob(api.store, await startJob(api.store, job_id));
    await archive(job_id);
    const again = await api.send('POST', '/v1/jobs', sent);
    expect([again.status, again.body.job_id, again.body.state]).toEqual([200, job_id, 'completed']);
  });

  it('can be waited for, and fails who waits for what it did not come to', async () => {
    const [done, cancelled] = [await finish(), await api.submit()];
    await api.send('POST', `/v1/jobs/${cancelled}/cancel`);
    await archive(done, cancelled);
    const submit = async (job: string) =>
      (await api.send('POST', '/v1/jobs', { body: { command: 'true', after: [{ job, condition: 'completed' }] } }))
        .body;
    expect(await submit(done)).toMatchObject({ state: 'pending', waiting_for: null });
    expect(await submit(cancelled)).toMatchObject({ state: 'cancelled', cause: 'dependency_failed' });
    expect(await submit('00000000-0000-7000-8000-000000000000')).toMatchObject({ code: 'dependency_not_found' });
  });

  /** The two formats have two names for it. */
  const toId = (body: { id?: string; job_id?: string }): string => body.job_id ?? body.id ?? '';

  it('is read in the format that it came in by', async () => {
    const bodies = [
      { command: 'echo hi' },
      { docker_image: 'busybox:stable', command: ['true'], cpu_cores: 1, memory_gb: 1 },
    ];
    const ids: string[] = [];
    for (const body of bodies) ids.push(toId((await api.send('POST', '/jobs', { body })).body));
    for (const id of ids) await settleJob(api.store, await startJob(api.store, id));
    const ask = () => Promise.all([...ids.map((id) => `/jobs/${id}`), '/jobs'].map((path) => get(path)));
    const before = await ask();
    expect(before.at(-1)).toHaveLength(1);
    await archive(...ids);
    expect(await ask()).toEqual(before);
  });
});

describe('the archiver', () => {
  it('keeps so many finished jobs in Redis, the youngest ends, whatever their age', async () => {
    api = await open({ keepFinished: 2 });
    const ids = [await finish(), await finish(), await finish(), await finish()];
    for (const id of ids.slice(0, 2)) await until('it to leave Redis', () => isArchived(id));
    expect((await api.store.archiving.readStored(ids)).map(({ job_id }) => job_id)).toEqual(ids.slice(2));
    expect((await get('/v1/jobs')).jobs.map(({ job_id }: { job_id: string }) => job_id)).toEqual([...ids].reverse());
  });

  it('passes over a job with output that is nowhere else, and takes it when its time is up', async () => {
    const [kept, other] = [await api.submit(), await api.submit()];
    const claim = await startJob(api.store, kept);
    const piece = { stream: 'stdout' as const, attempt: 1, bytes: Buffer.from('hi') };
    await api.store.logs.append(claim, { first: 1, pieces: [piece] });
    await settleJob(api.store, claim);
    await settleJob(api.store, await startJob(api.store, other));
    await archive(other);
    expect(await existsInRedis(kept)).toBe(true);
    now = () => Date.now() + 8 * 24 * 3600 * 1000;
    await until('it to leave Redis', () => isArchived(kept));
    expect((await get(`/v1/jobs/${kept}`)).state).toBe('completed');
  });
});

describe('GET /v1/usage', () => {
  const usage = {
    at: 1,
    cpu_seconds: 2,
    memory_peak_bytes: 1,
    network_rx_bytes: 0,
    network_tx_bytes: 0,
    block_read_bytes: 0,
    block_write_bytes: 0,
  };

  it('adds up the same wherever the jobs are, and while they move', async () => {
    const ids = [await finish({ cpus: 0.5, memory_mb: 128 }, { usage }), await finish({ memory_mb: 64 }, { usage })];
    const pending = await api.submit();
    await api.send('POST', `/v1/jobs/${pending}/cancel`);
    const paths = ['user', 'class', 'node'].map(
      (by) => `/v1/usage?by=${by}&from=2020-01-01T00:00:00Z&to=2100-01-01T00:00:00Z`,
    );
    const ask = () => Promise.all(paths.map((path) => get(path)));
    const before = await ask();
    expect(before[0].usage).toMatchObject([{ key: 'local', jobs: 3, attempts: 2, cpu_seconds: 4 }]);
    expect(before[2].usage).toMatchObject([{ key: 'n', jobs: 2, attempts: 2 }]);
    const [first] = before[0].usage;
    expect(first.memory_mb_seconds).toBeGreaterThan(0);
    // In both, as between the two steps of a move.
    const { history } = await openHistoryOf(api);
    await history.save(await api.store.archiving.readStored(ids));
    expect(await ask()).toEqual(before);
    await archive(...ids, pending);
    expect(await ask()).toEqual(before);
  });

  it('counts what finished in the time, and refuses what is no time', async () => {
    await finish();
    expect((await get('/v1/usage?to=2020-01-01T00:00:00Z')).usage).toEqual([]);
    expect((await get('/v1/usage')).usage).toHaveLength(1);
    for (const query of [
      'from=yesterday',
      'by=job',
      'from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z',
      'from=2026-01-01',
    ]) {
      const refused = await api.send('GET', `/v1/usage?${query}`);
      expectProblem(refused);
      expect(refused.status).toBe(400);
    }
  });
});
