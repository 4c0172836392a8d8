import { describe, expect, it, onTestFinished } from 'vitest';
import { openCuttablePostgres } from './cuttable-postgres.js';
import { expectProblem, openTestApi, settleJob, startJob, type TestApi, until } from './open-test-api.js';

let now = Date.now;

const open = async (databaseUrl: string): Promise<TestApi> => {
  now = Date.now;
  const api = await openTestApi('history-away', { databaseUrl }, { now: () => now() });
  onTestFinished(api.close);
  return api;
};

const finish = async (api: TestApi, spec: object = {}): Promise<string> => {
  const id = await api.submit(spec);
  await settleJob(api.store, await startJob(api.store, id));
  return id;
};
const letTimePass = (): void => {
  now = () => Date.now() + 3_700_000;
};
const isArchived = async (api: TestApi, id: string): Promise<boolean> =>
  (await api.store.archiving.readStored([id])).length === 0;
const archive = async (api: TestApi, id: string): Promise<void> => {
  letTimePass();
  await until('it to leave Redis', () => isArchived(api, id));
  now = Date.now;
};

describe('where PostgreSQL is away', () => {
  it('jobs are submitted, run and read, lists of what is newer too; what needs it says so', async () => {
    const way = await openCuttablePostgres();
    const api = await open(way.url);
    const old = await finish(api);
    await archive(api, old);
    const [recent, second] = [await finish(api), await finish(api)];
    await way.cut();
    expect((await api.send('GET', `/v1/jobs/${recent}`)).body.state).toBe('completed');
    expect((await api.send('GET', `/v1/jobs/${await api.submit()}`)).body.state).toBe('pending');
    expect((await api.send('GET', '/v1/jobs?state=pending')).status).toBe(200);
    const page = await api.send('GET', '/v1/jobs?limit=2&state=completed');
    expect(page.status).toBe(503);
    const newest = await api.send('GET', '/v1/jobs?limit=1&state=completed');
    expect(newest.body.jobs.map(({ job_id }: { job_id: string }) => job_id)).toEqual([second]);
    expect((await api.send('GET', '/ready')).status).toBe(200);
    for (const path of ['/v1/jobs', `/v1/jobs/${old}`, `/v1/jobs/${old}/events`, '/v1/usage']) {
      const refused = await api.send('GET', path);
      expectProblem(refused);
      expect([path, refused.status, refused.body.code]).toEqual([path, 503, 'unavailable']);
      expect(refused.body.reasons).toEqual(['archive']);
      expect(Number(refused.headers['retry-after'])).toBeGreaterThan(0);
    }
    await way.mend();
    expect((await api.send('GET', '/v1/jobs')).body.jobs).toHaveLength(4);
    expect((await api.send('GET', `/v1/jobs/${old}`)).body.state).toBe('completed');
  });

  it('Redis keeps what has ended, whatever its age, until it is back', async () => {
    const way = await openCuttablePostgres();
    const api = await open(way.url);
    await way.cut();
    const id = await finish(api);
    now = () => Date.now() + 30 * 24 * 3600 * 1000;
    // Time for two passes, of which each would have moved it, and none for the test to fail in.
    await expect(until('it to leave Redis', () => isArchived(api, id), 4_500)).rejects.toThrow('in vain');
    await way.mend();
    await archive(api, id);
    expect((await api.send('GET', `/v1/jobs/${id}`)).body.state).toBe('completed');
  });

  it('an API starts all the same, and uses it once it is there', async () => {
    const way = await openCuttablePostgres();
    await way.cut();
    const api = await open(way.url);
    const id = await finish(api);
    expect((await api.send('GET', `/v1/jobs/${id}`)).status).toBe(200);
    expect((await api.send('GET', '/v1/jobs')).status).toBe(503);
    await way.mend();
    await archive(api, id);
    expect((await api.send('GET', '/v1/jobs')).body.jobs).toHaveLength(1);
  });
});
