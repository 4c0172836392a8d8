import { Readable } from 'node:stream';
import { type Claim, objectNames, type Store } from '@berth/store';
import { afterEach, describe, expect, it } from 'vitest';
import { createInstallationMark, type InstallationMark } from '../src/retention/installation-mark.js';
import { cleanServices } from '../src/service-cleaning.js';
import { endWithArtifacts } from './artifact-api.js';
import { claimJob, collect, settleJob } from './open-test-api.js';
import { openUser } from './open-users.js';
import { type OrchestratorApi, openOrchestratorApi, type Part } from './orchestrator-api.js';

let api: OrchestratorApi;
afterEach(() => api.close());

const toParts = (user_id: number, service = 'example'): Part[] => [
  ['file', 'run.sh', 'true'],
  ['user_id', String(user_id)],
  ['service', service],
];

const submit = async (user_id: number, headers: Record<string, string> = {}, service?: string) => {
  const { status, body } = await api.upload(toParts(user_id, service), headers);
  expect(status).toBe(201);
  const known = await api.store.numbers.find(body.id);
  return { id: body.id as number, job_id: known?.job_id ?? '', user_id };
};

const capacity = { centicpus: 100_000, memory_mb: 1_000_000, gpus: 0 };
const place = { engine: 'e', node: 'n', labels: {}, region: 'default', datacenter: 'default', gpus: [] };

/** Plays a worker with a large machine: takes all that may run, in the order in which it may. A ticket that is of no use yet is kept. */
const createWorker = () => {
  const tickets: string[] = [];
  return async (): Promise<string[]> => {
    const taken: string[] = [];
    for (;;) {
      tickets.push(...(await api.store.backlog.dispatch('small', 100, 1_000)).map(({ ticket }) => ticket));
      const ticket = tickets[0];
      if (ticket === undefined) return taken;
      const reply = await api.store.claims.draw('small', ticket, { worker: 'w', ...place, capacity });
      if (reply.kind !== 'claimed') return taken;
      tickets.shift();
      taken.push(reply.claim.job_id);
    }
  };
};

/** No relay of its own: tests draw by themselves. */
const NO_RELAY = { kick: () => undefined, close: async () => undefined };

describe('whose a job is', () => {
  it('is known by the key, and nobody else sees or ends it by counting', async () => {
    api = await openOrchestratorApi('orchestrator-owners');
    const [ann, bob, root] = [
      await openUser(api, 'ann'),
      await openUser(api, 'bob'),
      await openUser(api, 'root', 'operator'),
    ];
    const as = (user: { authorization: string }) => ({ authorization: user.authorization });
    const { id, job_id } = await submit(7, as(ann));
    expect(await api.store.jobs.read(job_id)).toMatchObject({ user: 'ann' });
    const none = await api.get('/download/4000000000', as(bob));
    for (const [path, method] of [
      [`/download/${id}`, 'GET'],
      [`/download_partial/${id}`, 'GET'],
      [`/terminate/${id}`, 'POST'],
    ] as const) {
      const reply = await api.get(path, as(bob), method);
      expect([reply.status, reply.body]).toEqual([
        404,
        { ...none.body, message: `Job ${id} not found in the database` },
      ]);
      const nobody = await api.get(path, {}, method);
      expect([nobody.status, Object.keys(nobody.body)]).toEqual([401, ['id', 'status', 'message']]);
    }
    expect((await api.get(`/download/${id}`, as(ann))).body.status).toBe('Queued');
    expect((await api.get(`/download/${id}`, as(root))).body.status).toBe('Queued');
    expect((await api.get(`/v1/jobs/${job_id}`, as(bob))).status).toBe(404);
    expect((await api.get('/')).status).toBe(200);
  });

  it('does not change with its result: a file of the same bytes of another user is another file', async () => {
    api = await openOrchestratorApi('orchestrator-files');
    const [ann, bob] = [await openUser(api, 'ann'), await openUser(api, 'bob')];
    await submit(1, { authorization: ann.authorization });
    await submit(1, { authorization: bob.authorization });
    expect(await api.countLeft()).toEqual({ objects: 2, entries: 2, jobs: 2 });
  });
});

/** `SERVICE_EXAMPLE_RUNS_PER_USER` is 5 as it stands, and `SERVICE_EXAMPLE_MAX_RUNS` is 6 here. */
describe('the limits of a service', () => {
  it('run 5 of a user’s 8 jobs, and the 6th when the 1st has ended', async () => {
    api = await openOrchestratorApi('orchestrator-quota', {}, { relay: NO_RELAY });
    const ids = [];
    for (let i = 0; i < 8; i++) ids.push((await submit(1)).job_id);
    const takeAll = createWorker();
    expect(await takeAll()).toEqual(ids.slice(0, 5));
    const status = (await api.get('/download/6')).body.status;
    expect(status).toBe('Queued');
    const first = await api.store.jobs.read(ids[0] ?? '');
    if (!first) throw new Error('the first job is gone');
    await settleJob(api.store, { ...first, owner: 'w' } as unknown as Claim);
    expect(await takeAll()).toEqual([ids[5]]);
  });

  it('let users take turns within what the service may run, whoever came first', async () => {
    api = await openOrchestratorApi('orchestrator-turns', {}, { relay: NO_RELAY });
    await api.redis.hset(api.store.keys.cluster, { centicpus: 1_000, memory_mb: 100_000, gpus: 0 });
    const jobs = [];
    for (const user of [1, 1, 1, 1, 1, 2, 2, 2]) jobs.push(await submit(user));
    const users = new Map(jobs.map(({ job_id, user_id }) => [job_id, user_id]));
    const taken = (await createWorker()()).map((job_id) => users.get(job_id));
    expect(taken).toHaveLength(6);
    expect(taken.filter((user) => user === 2)).toHaveLength(3);
    expect(taken.slice(0, 2).sort()).toEqual([1, 2]);
  });

  it('are beside those of the key’s user, whose jobs they all are', async () => {
    api = await openOrchestratorApi('orchestrator-above', {}, { relay: NO_RELAY });
    await api.store.quotas.set({ user: 'local' }, { max_running: 2 });
    for (const user of [1, 2, 3]) await submit(user);
    expect(await createWorker()()).toHaveLength(2);
    const waiting = await api.send('GET', `/v1/jobs/${(await api.store.numbers.find(3))?.job_id}/explain`);
    expect(waiting.body.constraints).toContainEqual(expect.objectContaining({ kind: 'quota' }));
  });

  it('hold for a job that is run once more through /v1 too', async () => {
    api = await openOrchestratorApi('orchestrator-again', {}, { relay: NO_RELAY });
    const { job_id } = await submit(1, {}, 'big_tool');
    await settleJob(api.store, await claimJob(api.store, job_id));
    const again = await api.send('POST', `/v1/jobs/${job_id}/requeue`);
    expect(again.status).toBe(201);
    const fields = await api.redis.hmget(api.store.keys.job(again.body.job_id), 'class', 'bucket', 'shape');
    expect(fields.slice(0, 2)).toEqual(['medium', 'local:1']);
    expect(fields[2]).toContain('user/local:1/service/big_tool');
  });
});

/** Of the files of these tests, which are not those that the API marks as its own. */
const openMark = async (history?: { read: () => Promise<null> }) => {
  const { store, files } = api;
  const mark = objectNames.installation(await store.readInstallation());
  await files.put(mark, Readable.from([Buffer.from('x')]));
  return createInstallationMark({ store, files, history });
};

describe('a job that ended long ago', () => {
  it('is cleaned when MAX_AGE is over, also after its record is gone, and for its user only', async () => {
    let at = Date.now();
    api = await openOrchestratorApi('orchestrator-age', { maxAgeSeconds: 60 }, { now: () => at });
    const { id, job_id } = await submit(1);
    await endWithArtifacts(api, job_id, { a: 'a' });
    expect((await api.get(`/download/${id}`)).headers['content-type']).toBe('application/zip');
    at = Date.now() + 61_000;
    expect((await api.get(`/download/${id}`)).body).toEqual({ id, status: 'Cleaned', message: '' });
    expect((await api.get(`/download_partial/${id}`)).status).toBe(404);
    expect((await api.get(`/terminate/${id}`, {}, 'POST')).body).toMatchObject({ status: 'Cleaned' });
    await api.store.retention.forget(at);
    expect(await api.store.jobs.read(job_id)).toBeNull();
    expect((await api.get(`/download/${id}`)).body).toEqual({ id, status: 'Cleaned', message: '' });
    const bob = await openUser(api, 'bob');
    expect((await api.get(`/download/${id}`, { authorization: bob.authorization })).status).toBe(404);
  });

  it('leaves no files, and what ended later is come back to', async () => {
    let at = Date.now();
    api = await openOrchestratorApi('orchestrator-clean');
    const { store, files } = api;
    const mark = await openMark();
    const clean = () =>
      cleanServices({ ...store, readJob: store.jobs.read, files, mark, maxAgeSeconds: 60, now: () => at });
    const countArtifacts = async () => (await collect(files.list('artifacts/'))).length;
    const [first, slow, third] = [await submit(1), await submit(2), await submit(3)];
    for (const { job_id } of [first, third]) await endWithArtifacts(api, job_id, { a: 'a' });
    expect([await clean(), await countArtifacts()]).toEqual([0, 4]);
    at = Date.now() + 61_000;
    expect([await clean(), await countArtifacts()]).toEqual([2, 0]);
    expect(await store.numbers.readWalk()).toEqual({ up_to: 3, last: 3, late: [slow.id] });
    await endWithArtifacts(api, slow.job_id, { a: 'a' });
    const before = at;
    at = Date.now();
    expect([await clean(), await countArtifacts()]).toEqual([0, 2]);
    at = before + 60_000;
    expect([await clean(), await countArtifacts()]).toEqual([1, 0]);
    expect(await store.numbers.readWalk()).toEqual({ up_to: 3, last: 3, late: [] });
  });

  it('keeps its files where "no record" may say that the archive is not known here, or that Redis has gone back', async () => {
    const at = Date.now() + 61_000;
    api = await openOrchestratorApi('orchestrator-unknown');
    const { store, files } = api;
    const history = { read: async () => null };
    const clean = (mark: InstallationMark, readJob: Store['jobs']['read'] = store.jobs.read) =>
      cleanServices({ ...store, readJob, files, mark, maxAgeSeconds: 60, now: () => at });
    const goBack = async () => {
      await api.redis.set(store.keys.wentBack, '1');
      return null;
    };
    const { job_id } = await submit(1);
    await endWithArtifacts(api, job_id, { a: 'a' });
    await store.retention.forgetJobs([job_id]);
    await store.archiving.noteArchived(job_id);
    await expect(clean(await openMark())).rejects.toMatchObject({ code: 'unavailable' });
    await expect(clean(await openMark(history), goBack)).rejects.toMatchObject({ code: 'unavailable' });
    await api.redis.del(store.keys.wentBack);
    expect(await collect(files.list('artifacts/'))).toHaveLength(2);
    expect(await store.numbers.readWalk()).toMatchObject({ up_to: 0 });
    expect(await clean(await openMark(history))).toBe(1);
    expect(await collect(files.list('artifacts/'))).toEqual([]);
  });
});
