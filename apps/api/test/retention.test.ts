import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { FoundJob, History } from '@berth/history';
import { type FileStore, objectNames, openLocalFiles } from '@berth/store';
import { pino } from 'pino';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createSweep, type Sweep } from '../src/retention/sweep.js';
import { type Contents, endWithArtifacts, putPack, toSha256 } from './artifact-api.js';
import { claimJob, expectProblem, openTestApi, settleJob, startJob, type TestApi } from './open-test-api.js';
import { openUser, type TestUser } from './open-users.js';

const HOUR_MS = 3600_000;
const DAY_MS = 24 * HOUR_MS;
const WEEK_SECONDS = 7 * 24 * 3600;

let api: TestApi;
let operator: TestUser;
let alice: TestUser;
let bob: TestUser;
let folder: string;
let files: FileStore;
let sweep: Sweep;
let now_ms: number;
beforeAll(async () => {
  api = await openTestApi('retention');
  [operator, alice, bob] = [
    await openUser(api, 'root', 'operator'),
    await openUser(api, 'alice'),
    await openUser(api, 'bob'),
  ];
});
afterAll(() => api.close());
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'berth-retention-'));
  files = await openLocalFiles(folder);
  await put(objectNames.installation(await api.store.readInstallation()));
  now_ms = Date.now();
  sweep = openSweep();
});
afterEach(async () => {
  await api.store.retention.setBook({});
  // No record, index or entry of one test is there for the next.
  now_ms = Date.now() + 100 * 365 * DAY_MS;
  await sweep.sweep();
  for await (const one of api.store.uploads.listAll()) await api.store.uploads.remove(one);
  await files.close();
  rmSync(folder, { recursive: true, force: true });
});

type SweepHistory = Pick<History, 'read' | 'findFinished' | 'remove'>;
const openSweep = (history?: SweepHistory): Sweep => {
  const log = pino({ level: 'silent' });
  return createSweep({ store: api.store, files, history, retentionSeconds: WEEK_SECONDS, now: () => now_ms, log });
};
const toHistory = (read: (job_id: string) => Promise<FoundJob | null>): SweepHistory => ({
  read,
  findFinished: async () => [],
  remove: async () => 0,
});

async function* once(text: string): AsyncGenerator<Buffer> {
  yield Buffer.from(text);
}
const put = (name: string, text = 'x') => files.put(name, once(text));
const listNames = async (): Promise<string[]> => {
  const names: string[] = [];
  for await (const { name } of files.list('')) names.push(name);
  return names.filter((name) => !name.startsWith(objectNames.installations));
};
const end = async (user: TestUser, contents: Contents = { a: 'x' }): Promise<{ job_id: string; epoch: number }> => {
  const job_id = await user.submit({ outputs: ['**'] });
  return { job_id, ...(await endWithArtifacts({ store: api.store, files }, job_id, contents)) };
};
const upload = async (user: string, text: string): Promise<string> => {
  const object = objectNames.upload(toSha256(`${user}${text}`).slice(0, 24));
  await put(object, text);
  const file_id = toSha256(text);
  const added = await api.store.uploads.add({ user, file_id, object, bytes: text.length, name: null });
  if (added.kind !== 'added') throw new Error(`expected to add, got ${added.kind}`);
  return file_id;
};

describe('/v1/retention', () => {
  it('is set and shown by operators, whole where nobody has said anything', async () => {
    const all = { records_seconds: 604800, logs_seconds: 604800, artifacts_seconds: 604800, uploads_seconds: 604800 };
    expect((await operator.send('GET', '/v1/retention')).body).toEqual({ default: all, classes: {}, users: {} });
    const body = {
      default: { logs_seconds: 100 },
      classes: { small: { artifacts_seconds: 200 } },
      users: { alice: { uploads_seconds: 300 } },
    };
    const set = await operator.send('PUT', '/v1/retention', { body });
    expect(set.body).toEqual({ ...body, default: { ...all, logs_seconds: 100 } });
    expect((await operator.send('GET', '/v1/retention')).body).toEqual(set.body);
    for (const [method, path] of [
      ['GET', ''],
      ['PUT', ''],
      ['GET', '/preview'],
    ] as const) {
      expect((await alice.send(method, `/v1/retention${path}`)).status).toBe(403);
    }
    expect((await alice.send('POST', '/v1/scrub')).status).toBe(403);
    expect((await operator.send('GET', '/v1/retention/preview')).body).toMatchObject({ dry_run: true });
    expect((await operator.send('POST', '/v1/scrub?dry_run=true')).body).toMatchObject({ dry_run: true, found: [] });
  });

  it.each([
    { default: { logs_seconds: 1 } },
    { default: { logs: 100 } },
    { classes: { none: { logs_seconds: 100 } } },
    { users: { '': {} } },
    { users: [] },
    [],
  ])('%j is refused', async (body) => {
    const reply = await operator.send('PUT', '/v1/retention', { body });
    expect(reply.status).toBe(400);
    expectProblem(reply);
  });
});

describe('what is kept no longer', () => {
  it('goes by user, class and kind, after a preview that says so and changes nothing', async () => {
    const [mine, theirs] = [await end(alice), await end(bob)];
    await api.store.retention.setBook({
      classes: { small: { artifacts_seconds: 3_600 } },
      users: { alice: { artifacts_seconds: 86_400 } },
    });
    now_ms += 2 * HOUR_MS;
    const before = await listNames();
    const found = await sweep.preview();
    const pack = objectNames.outputs(theirs.job_id, theirs.epoch).pack;
    expect(found).toEqual({
      artifacts_expired: { count: 2, bytes: expect.any(Number), ids: expect.arrayContaining([pack]) },
    });
    expect(await listNames()).toEqual(before);
    expect(await sweep.sweep()).toEqual(found);
    expect((await listNames()).every((name) => name.includes(mine.job_id))).toBe(true);
    expect(await api.store.jobs.read(theirs.job_id)).not.toBeNull();
    expect(await sweep.sweep()).toEqual({});
  });

  it('is no record of a class or user that keeps them longer', async () => {
    const [mine, theirs] = [await end(alice), await end(bob)];
    await api.store.retention.setBook({ users: { bob: { records_seconds: 3_600 } } });
    now_ms += 2 * HOUR_MS;
    expect(await sweep.preview()).toMatchObject({ records_expired: { count: 1, ids: [theirs.job_id] } });
    await sweep.sweep();
    expect([await api.store.jobs.read(mine.job_id), await api.store.jobs.read(theirs.job_id)]).toEqual([
      expect.objectContaining({ job_id: mine.job_id }),
      null,
    ]);
  });

  it('is never what a pending or running job needs, and an upload that is used again stays', async () => {
    await api.store.retention.setBook({ default: { records_seconds: 10 * WEEK_SECONDS } });
    const input = await upload('alice', 'needed');
    const unused = await upload('alice', 'unused');
    const job_id = await alice.submit({ inputs: [{ file_id: input, path: 'in' }] });
    now_ms += 2 * WEEK_SECONDS * 1000;
    await sweep.sweep();
    expect(await api.store.uploads.read('alice', unused)).toBeNull();
    const kept = await api.store.uploads.read('alice', input);
    expect(kept).not.toBeNull();
    const claim = await startJob(api.store, job_id);
    await putPack(files, objectNames.outputs(job_id, claim.epoch), { a: 'x' });
    await sweep.sweep();
    expect(await listNames()).toEqual([
      objectNames.outputs(job_id, claim.epoch).manifest,
      objectNames.outputs(job_id, claim.epoch).pack,
      kept?.object,
    ]);
    await settleJob(api.store, claim);
    await sweep.sweep();
    expect(await listNames()).not.toContain(kept?.object);
    expect(await api.store.uploads.read('alice', input)).toBeNull();
  });
});

describe('what a crash has left', () => {
  it('is an object that nobody knows: it goes after an hour, and not while it may be in the making', async () => {
    const { job_id, epoch } = await end(alice);
    await upload('alice', 'known');
    const known = await listNames();
    const claim = await claimJob(api.store, await bob.submit({ outputs: ['**'] }));
    known.push(objectNames.outputs(claim.job_id, claim.epoch).pack);
    await put(known.at(-1) ?? '');
    const orphans = [
      objectNames.outputs('01a203e8-f53f-7020-bbde-f6a317f77f74', 1).pack,
      objectNames.outputs(job_id, epoch + 1).pack,
      objectNames.partialOutputs(job_id, 'abc').pack,
      objectNames.logSegment(job_id, epoch, 1, 2),
    ];
    for (const name of orphans) await put(name);
    now_ms += HOUR_MS - 60_000;
    expect(await sweep.scrub(false)).toEqual({});
    now_ms += 120_000;
    const dry = await sweep.scrub(true);
    expect(
      Object.values(dry)
        .flatMap(({ ids }) => ids)
        .sort(),
    ).toEqual(orphans.sort());
    expect(await listNames()).toHaveLength(known.length + orphans.length);
    expect(await sweep.scrub(false)).toEqual(dry);
    expect(await listNames()).toEqual(known.sort());
    expect(await sweep.scrub(false)).toEqual({});
    await settleJob(api.store, claim);
  });

  it('is an upload without an entry only after a day, as its form may be long', async () => {
    await put(objectNames.upload('nobody'));
    now_ms += DAY_MS - 60_000;
    expect(await sweep.scrub(false)).toEqual({});
    now_ms += 120_000;
    expect(await sweep.scrub(false)).toMatchObject({ uploads_orphan: { ids: [objectNames.upload('nobody')] } });
  });

  it('is not what an archived job has', async () => {
    const { job_id, epoch } = await end(alice);
    const segment = objectNames.logSegment(job_id, epoch, 1, 2);
    await put(segment);
    const [stored] = await api.store.archiving.readStored([job_id]);
    const job = await api.store.jobs.read(job_id);
    if (!job || !stored) throw new Error('expected a job');
    await api.store.retention.forgetJobs([job_id]);
    const found = { job, segments: [JSON.stringify({ object: segment })] };
    const archived = openSweep(toHistory(async (id) => (id === job_id ? found : null)));
    await put(objectNames.logSegment(job_id, epoch, 3, 4));
    now_ms += 2 * HOUR_MS;
    expect(await archived.sweep()).toMatchObject({ logs_orphan: { count: 1 } });
    expect(await listNames()).toHaveLength(3);
    now_ms += WEEK_SECONDS * 1000;
    expect(await archived.sweep()).toMatchObject({ logs_expired: { ids: [segment] }, artifacts_expired: { count: 2 } });
  });

  it('is an upload without its bytes, or one that was about to go: both entries go', async () => {
    const [lost, marked] = [await upload('alice', 'lost'), await upload('alice', 'marked')];
    const entry = await api.store.uploads.read('alice', lost);
    await files.remove(entry?.object ?? '');
    const going = await api.store.uploads.read('alice', marked);
    if (!going) throw new Error('expected an upload');
    await api.store.uploads.markRemoving(going);
    expect(await sweep.scrub(false)).toMatchObject({ uploads_missing: { count: 1 } });
    now_ms += 2 * HOUR_MS;
    expect(await sweep.scrub(false)).toMatchObject({ uploads_removing: { count: 1, ids: [going.object] } });
    expect(await listNames()).toEqual([]);
    expect(await api.store.uploads.readStoredBytes('alice')).toBe(0);
  });

  it('is not judged where the records cannot be read', async () => {
    await put(objectNames.outputs('01a203e8-f53f-7020-bbde-f6a317f77f74', 1).pack);
    now_ms += 2 * HOUR_MS;
    const away = openSweep(toHistory(() => Promise.reject(new Error('the archive is away'))));
    await expect(away.sweep()).rejects.toThrow('the archive is away');
    expect(await listNames()).toHaveLength(1);
  });
});
