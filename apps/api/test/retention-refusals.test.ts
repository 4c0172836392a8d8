import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type History, openHistory } from '@berth/history';
import { type FileStore, FilesUnavailable, objectNames, openLocalFiles, openRedis } from '@berth/store';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { createSweep, type Sweep } from '../src/retention/sweep.js';
import { endWithArtifacts, toSha256 } from './artifact-api.js';
import { expectProblem, openTestApi, type TestApi } from './open-test-api.js';
import { openUser, type TestUser } from './open-users.js';

const HOUR_MS = 3600_000;
const WEEK_SECONDS = 7 * 24 * 3600;
const NOBODYS = objectNames.outputs('01a203e8-f53f-7020-bbde-f6a317f77f74', 1).pack;

let api: TestApi;
let operator: TestUser;
let folder: string;
let files: FileStore;
let mark: string;
let now_ms: number;
beforeEach(async () => {
  api = await openTestApi('retention-refusals');
  operator = await openUser(api, 'root', 'operator');
  folder = mkdtempSync(join(tmpdir(), 'berth-retention-'));
  files = await openLocalFiles(folder);
  mark = objectNames.installation(await api.store.readInstallation());
  await files.put(mark, once('x'));
  now_ms = Date.now() + 2 * HOUR_MS;
});
afterEach(async () => {
  await api.close();
  await files.close();
  rmSync(folder, { recursive: true, force: true });
});

async function* once(text: string): AsyncGenerator<Buffer> {
  yield Buffer.from(text);
}
const openSweep = (history?: Pick<History, 'read' | 'findFinished' | 'remove'>, over = files): Sweep => {
  const log = pino({ level: 'silent' });
  const own = { history, files: over, retentionSeconds: WEEK_SECONDS, now: () => now_ms, log };
  return createSweep({ store: api.store, ...own });
};
const toHistory = (read: () => Promise<null>) => ({ read, findFinished: async () => [], remove: async () => 0 });
const openRaw = () => {
  const redis = openRedis(process.env.REDIS_URL ?? '', 'steady');
  onTestFinished(() => redis.disconnect());
  return redis;
};
const end = async (user: TestUser): Promise<string> => {
  const job_id = await user.submit({ outputs: ['**'] });
  await endWithArtifacts({ store: api.store, files }, job_id, { a: 'x' });
  return job_id;
};
const upload = async (user: string, text: string): Promise<string> => {
  const [object, file_id] = [objectNames.upload(`of-${text}`), toSha256(text)];
  await files.put(object, once(text));
  await api.store.uploads.add({ user, file_id, object, bytes: text.length, name: null });
  return file_id;
};
const isThere = async (name: string): Promise<boolean> => (await files.stat(name)) !== undefined;

describe('nothing is removed', () => {
  let sweep: Sweep;
  const expectRefusal = async (refused: Sweep, reason: string, why: RegExp): Promise<void> => {
    const details = { reasons: [reason] };
    for (const ask of [refused.sweep, refused.preview, () => refused.scrub(true), () => refused.scrub(false)]) {
      await expect(ask()).rejects.toMatchObject({ code: 'unavailable', details });
    }
    await expect(refused.sweep()).rejects.toThrow(why);
    expect(await isThere(NOBODYS)).toBe(true);
  };
  beforeEach(async () => {
    sweep = openSweep();
    await files.put(NOBODYS, once('x'));
  });

  it('where the file store is that of another installation, until a person says that it is this one’s', async () => {
    await files.put('installation/another', once('x'));
    await expectRefusal(sweep, 'installation', /installation\/another/);
    await files.remove('installation/another');
    expect(await sweep.sweep()).toMatchObject({ artifacts_orphan: { count: 1 } });
  });

  it('where Redis has come up empty', async () => {
    expect(await sweep.scrub(true)).toMatchObject({ artifacts_orphan: { count: 1 } });
    const redis = openRaw();
    const name = await api.store.readInstallation();
    await redis.del(api.store.keys.installation);
    await expectRefusal(sweep, 'installation', new RegExp(name));
    await redis.set(api.store.keys.installation, name);
    expect(await sweep.scrub(true)).toMatchObject({ artifacts_orphan: { count: 1 } });
  });

  it('where the store is empty that was marked before, until a person says that it is a new one', async () => {
    const file_id = await upload('alice', 'mounted');
    expect(await sweep.scrub(true)).toMatchObject({ artifacts_orphan: { count: 1 } });
    await files.remove(mark);
    const entry = await api.store.uploads.read('alice', file_id);
    await files.remove(entry?.object ?? '');
    await expectRefusal(sweep, 'unmarked', new RegExp(`mount it.*remove ${api.store.keys.filesMarked} from Redis`));
    expect(await isThere(mark)).toBe(false);
    expect(await api.store.uploads.read('alice', file_id)).toEqual(entry);
    await openRaw().del(api.store.keys.filesMarked);
    expect(await sweep.scrub(false)).toMatchObject({ uploads_missing: { count: 1 } });
    expect(await isThere(mark)).toBe(true);
  });

  it('of uploads that are not there because the store was unmounted in the middle', async () => {
    const file_id = await upload('alice', 'mounted');
    const unmounting: FileStore = {
      ...files,
      stat: async () => {
        await files.remove(mark);
        return undefined;
      },
    };
    await expect(openSweep(undefined, unmounting).scrub(false)).rejects.toMatchObject({ code: 'unavailable' });
    expect(await api.store.uploads.read('alice', file_id)).not.toBeNull();
  });

  it('of what was judged before Redis lost its data', async () => {
    const redis = openRaw();
    const name = await api.store.readInstallation();
    const history = toHistory(async () => {
      await redis.del(api.store.keys.installation);
      return null;
    });
    await expect(openSweep(history).sweep()).rejects.toMatchObject({ code: 'unavailable' });
    expect(await isThere(NOBODYS)).toBe(true);
    await redis.set(api.store.keys.installation, name);
  });

  it('while Redis has gone back to an older state', async () => {
    const redis = openRaw();
    await redis.set(api.store.keys.wentBack, String(now_ms));
    await expectRefusal(sweep, 'went_back', /gone back to an older state/);
    const reply = await operator.send('POST', '/v1/scrub');
    expect(reply.status).toBe(503);
    expectProblem(reply);
    await redis.del(api.store.keys.wentBack);
  });

  it('where jobs were archived, and this API has no archive', async () => {
    const redis = openRaw();
    await redis.set(api.store.keys.archivedNewest, '01a203e8-f53f-7020-bbde-f6a317f77f74');
    await expectRefusal(sweep, 'archive', /DATABASE_URL/);
    expect(await openSweep(toHistory(async () => null)).preview()).toEqual({});
    await redis.del(api.store.keys.archivedNewest);
  });

  it('of what a schedule takes in', async () => {
    const redis = openRaw();
    const alice = await openUser(api, 'alice');
    const [taken, other] = [await upload('alice', 'taken'), await upload('alice', 'other')];
    const job = { command: 'true', inputs: [{ file_id: taken, path: 'in' }] };
    const made = await alice.send('POST', '/v1/schedules', { body: { name: 'monthly', cron: '0 0 1 * *', job } });
    expect(made.status).toBe(201);
    const used_at = Date.now() - 2 * WEEK_SECONDS * 1000;
    for (const file_id of [taken, other]) {
      await redis.hset(api.store.keys.file('alice', file_id), 'used_at', used_at);
      await redis.zadd(api.store.keys.files, used_at, `${file_id}:alice`);
    }
    await sweep.sweep();
    expect([await api.store.uploads.read('alice', taken), await api.store.uploads.read('alice', other)]).toEqual([
      expect.objectContaining({ file_id: taken }),
      null,
    ]);
    await alice.send('DELETE', `/v1/schedules/${made.body.schedule_id}`);
  });
});

it('records in Redis go when their time is up, also while the file store is away', async () => {
  const [old, short, long] = [
    await end(await openUser(api, 'alice')),
    await end(await openUser(api, 'bob')),
    await end(await openUser(api, 'carol')),
  ];
  await api.store.retention.setBook({ users: { bob: { records_seconds: 3_600 } } });
  await openRaw().zadd(api.store.keys.finished, Date.now() - WEEK_SECONDS * 1000 - HOUR_MS, old);
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
  onTestFinished(() => void vi.useRealTimers());
  const passes = openSweep(undefined, {
    ...files,
    // biome-ignore lint/correctness/useYield: it is away
    list: async function* () {
      throw new FilesUnavailable('away');
    },
  }).start();
  vi.advanceTimersByTime(60_000);
  await passes.close();
  const left = await Promise.all([old, short, long].map(api.store.jobs.read));
  expect(left.map((job) => job?.job_id)).toEqual([undefined, undefined, long]);
});

describe('with an archive', () => {
  it('records stay for good but where somebody has said for how long', async () => {
    const history = await openHistory({
      url: process.env.BERTH_TEST_DATABASE_URL ?? '',
      prefix: api.store.keys.prefix,
      onError: () => {},
    });
    onTestFinished(() => history.close());
    const archived = openSweep(history);
    const [mine, theirs] = [await end(await openUser(api, 'alice')), await end(await openUser(api, 'bob'))];
    await history.save(await api.store.archiving.readStored([mine, theirs]));
    await api.store.retention.forgetJobs([mine, theirs]);
    await api.store.retention.setBook({ default: { artifacts_seconds: 100 * WEEK_SECONDS } });
    now_ms += 2 * WEEK_SECONDS * 1000;
    expect(await archived.sweep()).toEqual({});
    await api.store.retention.setBook({
      default: { artifacts_seconds: 100 * WEEK_SECONDS, records_seconds: 100 * WEEK_SECONDS },
      classes: { small: { records_seconds: WEEK_SECONDS } },
      users: { alice: { records_seconds: 50 * WEEK_SECONDS } },
    });
    const found = await archived.preview();
    expect(found).toEqual({ records_expired: { count: 1, bytes: 0, ids: [theirs] } });
    expect(await history.read(theirs)).not.toBeNull();
    // What it has left goes with it, as nobody's.
    expect(await archived.sweep()).toMatchObject({ ...found, artifacts_orphan: { count: 2 } });
    expect([await history.read(theirs), (await history.read(mine))?.job.job_id]).toEqual([null, mine]);
    expect(await archived.sweep()).toEqual({});
  });

  it('what is shown can be sent back, and sets no end to the records', async () => {
    const own = await openTestApi('retention-archive', { databaseUrl: process.env.BERTH_TEST_DATABASE_URL });
    onTestFinished(() => own.close());
    const root = await openUser(own, 'root', 'operator');
    const { body } = await root.send('GET', '/v1/retention');
    expect(Object.keys(body.default)).toEqual(['logs_seconds', 'artifacts_seconds', 'uploads_seconds']);
    expect((await root.send('PUT', '/v1/retention', { body })).body).toEqual(body);
    expect((await own.store.retention.readBook()).default).not.toHaveProperty('records_seconds');
    const set = { ...body, default: { ...body.default, records_seconds: 100 } };
    expect((await root.send('PUT', '/v1/retention', { body: set })).body).toEqual(set);
  });
});
