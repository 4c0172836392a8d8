import { openHistory } from '@berth/history';
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { openTestApi, settleJob, type TestApi, until } from './open-test-api.js';
import { openUser, type TestUser } from './open-users.js';

const databaseUrl = (): string => process.env.BERTH_TEST_DATABASE_URL ?? '';

const MACHINE = {
  ...{ worker: 'w', engine: 'e', node: 'n', labels: {}, region: 'default', datacenter: 'default' },
  gpus: [0, 1].map((index) => ({ index, uuid: `GPU-${index}`, name: 'A100', memory_mb: 80_000 })),
  capacity: { centicpus: 1_000_000, memory_mb: 10_000_000, gpus: 2 },
};

let api: TestApi;
let ann: TestUser;
let bob: TestUser;
let operator: TestUser;
beforeEach(async () => {
  api = await openTestApi('usage-report', { databaseUrl: databaseUrl() });
  onTestFinished(api.close);
  ann = await openUser(api, 'ann');
  bob = await openUser(api, 'bob');
  operator = await openUser(api, 'olga', 'operator');
});

/** Plays a worker: runs it from start to end, which is in a later millisecond. */
const run = async (job_id: string): Promise<void> => {
  const reply = await api.store.claims.claim(job_id, MACHINE);
  if (reply.kind !== 'claimed') throw new Error(`expected to claim, got ${reply.kind}`);
  await api.store.claims.start(reply.claim, 'sha256:abc');
  const started_at = Date.now();
  while (Date.now() <= started_at) await new Promise(setImmediate);
  await settleJob(api.store, reply.claim);
};

/** As the archiver moves them. */
const archive = async (...ids: string[]): Promise<void> => {
  const history = await openHistory({ url: databaseUrl(), prefix: api.store.keys.prefix, onError: () => {} });
  onTestFinished(() => history.close());
  await history.save(await api.store.archiving.readStored(ids));
  await api.store.archiving.removeArchived(ids, 60);
};

const ask = async (user: TestUser, query = '') => {
  const { status, body } = await user.send('GET', `/v1/usage?${query}`);
  expect(status).toBe(200);
  return body.usage;
};
const toQuery = (times: object): string => new URLSearchParams(Object.entries(times)).toString();

describe('GET /v1/usage, where some jobs are in Redis and some in the archive', () => {
  it('adds up what each user used, also of GPUs; a user sees their own', async () => {
    const gpus = { count: 2, type: 'any' };
    const [old, recent] = [await ann.submit({ gpus }), await ann.submit({ gpus })];
    const [his, pending] = [await bob.submit(), await ann.submit()];
    for (const id of [old, recent, his]) await run(id);
    await archive(old, his);
    expect(await api.store.jobs.read(recent)).not.toBeNull();
    const [own] = await ask(ann);
    expect(own).toMatchObject({ key: 'ann', jobs: 2, attempts: 2 });
    expect(own.gpu_seconds).toBeCloseTo(2 * own.run_seconds, 6);
    expect(own.gpu_seconds).toBeGreaterThan(0);
    expect(await ask(ann, 'by=class')).toMatchObject([{ jobs: 2, gpu_seconds: own.gpu_seconds }]);
    expect(await ask(bob)).toMatchObject([{ key: 'bob', jobs: 1, gpu_seconds: 0 }]);
    const all = await ask(operator);
    expect(new Map(all.map(({ key, jobs }: { key: string; jobs: number }) => [key, jobs]))).toEqual(
      new Map([
        ['ann', 2],
        ['bob', 1],
      ]),
    );
    expect(await ask(operator, 'user=ann')).toEqual([own]);
    expect((await bob.send('GET', '/v1/usage?user=ann')).status).toBe(403);
    expect((await ann.send('GET', `/v1/jobs/${pending}`)).body.state).toBe('pending');
  });

  it('counts a job whole in the time in which it finished, and in no other', async () => {
    const ids = [await ann.submit(), await ann.submit()];
    for (const id of ids) await run(id);
    const read = async (id: string) => (await ann.send('GET', `/v1/jobs/${id}`)).body;
    const [first, second] = [await read(ids[0] ?? ''), await read(ids[1] ?? '')];
    const between = async () => [
      await ask(ann, toQuery({ from: '2020-01-01T00:00:00Z', to: first.finished_at })),
      await ask(ann, toQuery({ from: first.finished_at, to: second.finished_at })),
      await ask(ann, toQuery({ from: second.finished_at, to: '2100-01-01T00:00:00Z' })),
    ];
    expect(first.created_at < first.finished_at && second.created_at < first.finished_at).toBe(true);
    const before = await between();
    const run_seconds = first.attempts[0];
    const ran = (Date.parse(run_seconds.finished_at) - Date.parse(run_seconds.started_at)) / 1000;
    expect(before).toMatchObject([[], [{ jobs: 1, run_seconds: ran }], [{ jobs: 1 }]]);
    await archive(ids[0] ?? '');
    expect(await between()).toEqual(before);
  });

  it('counts each job of an array that has come to be', async () => {
    const reply = await ann.send('POST', '/v1/jobs', { body: { command: 'true', array: { size: 3 } } });
    const jobsOf = async (): Promise<string[]> =>
      (await ann.send('GET', `/v1/arrays/${reply.body.array_id}/jobs`)).body.jobs
        .map(({ job_id }: { job_id: string | null }) => job_id)
        .filter((id: string | null) => id !== null);
    await until('its jobs', async () => (await jobsOf()).length === 3);
    const [first = '', second = ''] = await jobsOf();
    for (const id of [first, second]) await run(id);
    await archive(first);
    expect(await ask(ann)).toMatchObject([{ key: 'ann', jobs: 2, attempts: 2 }]);
  });
});
