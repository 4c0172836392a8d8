import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { jobSpecSchema, toAsk } from '@berth/domain';
import { type History, openHistory } from '@berth/history';
import { openBroker } from '@berth/local';
import { createStore, openRedis, type Store } from '@berth/store';
import type { Redis } from 'ioredis';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { until } from '../harness.js';
import { openKeeper } from './keeper.js';
import { createProgram, type Program } from './program.js';
import { chooseSeed, createRandom } from './random.js';
import { programPath } from './worker.js';

/** Finished jobs go from Redis to PostgreSQL while the processes that move them are killed again and again. */
const JOBS = 1_000;
/** No more of them are shown to those processes at a time: however fast they are, it takes the lives of several. */
const SHOWN = 300;
const PREFIX = 'archiver';
/** What leaves the processes room to work. */
const LOOK_MS = 5;
const HIDDEN = `${PREFIX}-hidden`;
const databaseUrl = process.env.BERTH_TEST_DATABASE_URL ?? '';
const seed = chooseSeed();
const random = createRandom(seed);

const folder = mkdtempSync(join(tmpdir(), 'berth-archiver-'));
const closing: (() => unknown)[] = [];
let redis: Redis;
let store: Store;
let history: History;
let apis: Program[];
let ids: string[];
let before: Map<string, unknown>;

/** Some have run, one time or two; most were cancelled before. */
const endJob = async (i: number): Promise<string> => {
  const spec = jobSpecSchema.parse({
    command: ['true'],
    name: `n${i % 7}`,
    labels: { a: `${i % 5}`, b: 'c' },
    max_attempts: 2,
  });
  const { job_id } = await store.jobs.accept({
    spec: { ...spec, image: 'x' },
    class: 'small',
    ask: toAsk(spec),
    user: `u${i % 3}`,
  });
  if (i % 5 !== 0) {
    await store.jobs.cancel(job_id);
    return job_id;
  }
  for (const type of i % 2 ? (['retried', 'completed'] as const) : (['completed'] as const)) {
    const capacity = { centicpus: 1e9, memory_mb: 1e9, gpus: 0 };
    const where = {
      worker: 'w',
      engine: 'e',
      node: `n-${type}`,
      labels: {},
      region: 'default',
      datacenter: 'default',
      gpus: [],
    };
    const reply = await store.claims.claim(job_id, { ...where, capacity });
    if (reply.kind !== 'claimed') throw new Error(JSON.stringify(reply));
    await store.claims.start(reply.claim, 'sha256:abc');
    const entry = { node: `n-${type}`, image_digest: null, evidence: null };
    const cause = type === 'retried' ? ('exit_code' as const) : null;
    await store.claims.settle(reply.claim, { type, cause, exit_code: 0, message: null, delay_ms: 0, entry });
  }
  return job_id;
};

const readWhole = async (id: string) => ({ job: await store.jobs.read(id), events: await store.jobs.readHistory(id) });
/** An archive that does not answer at once is asked again: here nobody waits for it but us. */
const patiently = async <T>(read: () => Promise<T>): Promise<T> =>
  (await until('the archive to answer', async () => ({ found: await read() }))).found;
const readArchived = (id: string) =>
  patiently(async () => ({ job: (await history.read(id))?.job ?? null, events: await history.readEvents(id) }));
const readStates = () => patiently(() => history.readStates(ids));

const inLanes = async <T, R>(items: T[], work: (item: T) => Promise<R>): Promise<R[]> => {
  const results: R[] = [];
  for (let i = 0; i < items.length; i += 100) results.push(...(await Promise.all(items.slice(i, i + 100).map(work))));
  return results;
};

beforeAll(async () => {
  const path = (process.env.PATH ?? '').split(':');
  const broker = await openBroker({
    redisUrl: undefined,
    dataDir: folder,
    path,
    env: process.env,
    docker: undefined,
    say: () => {},
  });
  closing.push(broker.close);
  redis = openRedis(broker.url, 'steady');
  closing.push(() => redis.disconnect());
  store = createStore(redis, PREFIX);
  history = await openHistory({ url: databaseUrl, prefix: PREFIX, onError: () => {} });
  closing.push(history.close);
  const keeper = openKeeper(folder);
  closing.push(keeper.close);
  const env = {
    ...{ REDIS_URL: broker.url, BERTH_PREFIX: PREFIX, BERTH_PORT: '0', DATABASE_URL: databaseUrl },
    ...{ BERTH_ARCHIVE_AFTER_SECONDS: '0', BERTH_LOG_LEVEL: 'info', BERTH_FILES: join(folder, 'files') },
  };
  const isReady = (output: string) => output.includes('listening');
  apis = ['api-1', 'api-2'].map((name) =>
    createProgram({
      name,
      command: process.execPath,
      args: [programPath('apps/api/dist/main.js')],
      env,
      folder,
      keeper,
      isReady,
    }),
  );
  ids = await inLanes(
    Array.from({ length: JOBS }, (_, i) => i),
    endJob,
  );
  before = new Map((await inLanes(ids, readWhole)).map((whole, i) => [ids[i] ?? '', whole]));
});
afterAll(async () => {
  for (const api of apis ?? []) await api.end();
  for (const close of closing.reverse()) await close();
});

const countArchived = async (): Promise<number> => (await readStates()).length;
const countLeft = async (): Promise<number> => (await redis.zcard(store.keys.finished)) + (await redis.zcard(HIDDEN));

const showMore = async (): Promise<void> => {
  const more = await redis.zpopmin(HIDDEN, SHOWN - (await redis.zcard(store.keys.finished)));
  for (let i = 0; i < more.length; i += 2) await redis.zadd(store.keys.finished, more[i + 1] ?? '', more[i] ?? '');
};

/** Each is in one of them, or in both, and the same. */
const expectAllThere = async (): Promise<void> => {
  const here = new Set((await store.archiving.readStored(ids)).map(({ job_id }) => job_id));
  const there = new Set((await readStates()).map(({ job_id }) => job_id));
  expect(ids.filter((id) => !here.has(id) && !there.has(id))).toEqual([]);
};

it('whoever is killed between writing and removing, or anywhere else, leaves each job once, whole, and loses none', async () => {
  const [first, second] = apis as [Program, Program];
  // Between the two steps: what is written cannot be removed, because Redis runs no scripts until the kill.
  await redis.rename(store.keys.finished, HIDDEN);
  await first.start();
  await redis.acl('SETUSER', 'default', '-eval', '-evalsha');
  await showMore();
  const overlap = async () => (await countArchived()) + (await countLeft()) - JOBS;
  await until('a batch to be written', async () => (await overlap()) > 0 || undefined);
  await first.end();
  // Redis may not have read all that it had sent.
  await redis.call('CLIENT', 'KILL', 'TYPE', 'normal');
  await redis.acl('SETUSER', 'default', '+@all');
  expect(await overlap()).toBeGreaterThan(0);
  await expectAllThere();

  // Two at the same jobs, and both killed once some have gone, anywhere in what they were doing.
  for (let left = await countLeft(); left > 0; ) {
    await showMore();
    for (const api of apis) await api.start({ unready: true });
    const enough = Math.max(0, left - random.between(100, 250));
    for (; left > enough; left = await countLeft()) await delay(LOOK_MS);
    await Promise.all([first.end(), second.end()]);
    left = await countLeft();
    await expectAllThere();
  }
  expect(await countArchived()).toBe(JOBS);
  const after = new Map((await inLanes(ids, readArchived)).map((whole, i) => [ids[i] ?? '', whole]));
  expect(after).toEqual(before);
  expect((await inLanes(ids, store.jobs.read)).filter((job) => job !== null)).toEqual([]);

  expect(await patiently(() => history.list({ label: 'b=c' }, { limit: 2 * JOBS }))).toHaveLength(JOBS);
  const to = Date.now() + 60_000;
  const sums = await patiently(() => history.readUsage({ by: 'user', from: 0, to }, []));
  const total = (name: 'jobs' | 'attempts') => sums.reduce((sum, row) => sum + row[name], 0);
  // Every tenth has run twice, and every tenth once.
  expect([total('jobs'), total('attempts')]).toEqual([JOBS, (3 * JOBS) / 10]);
}, 300_000);
