import { createHash } from 'node:crypto';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openBroker } from '@berth/local';
import { createStore, type FileStore, objectNames, openLocalFiles, openRedis, type Store } from '@berth/store';
import type { Redis } from 'ioredis';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { until } from '../harness.js';
import { openKeeper } from './keeper.js';
import { createProgram, type Program } from './program.js';
import { createSkewedClock } from './skewed-clock.js';
import { programPath } from './worker.js';

/** Uploads whose time is up go while the process that removes them dies again and again. */
const UPLOADS = 200;
const KEPT = 20;
/** Of a process's removals, the one in whose middle it dies, and at which side of the object's end. */
const DEATHS = ['before 20', 'after 20', 'before 30'];
const PREFIX = 'removals';
const DAY_SECONDS = 24 * 3600;

/** What is done once a minute is done five times a second. */
const QUICKLY = `data:text/javascript,${encodeURIComponent(
  'const wait = setInterval; globalThis.setInterval = (work, ms, ...more) => wait(work, ms === 60_000 ? 200 : ms, ...more);',
)}`;

/** The process kills itself as BERTH_TEST_DEATH says, which is one of DEATHS: from outside nobody would meet that moment for certain. */
const MORTAL = `data:text/javascript,${encodeURIComponent(`
  import fs from 'node:fs/promises';
  import { syncBuiltinESMExports } from 'node:module';
  const [side, count] = (process.env.BERTH_TEST_DEATH ?? '').split(' ');
  const { unlink } = fs;
  let left = Number(count);
  fs.unlink = async (path) => {
    const dies = path.includes('/uploads/') && (left -= 1) === 0;
    if (dies && side === 'before') process.kill(process.pid, 'SIGKILL');
    await unlink(path);
    if (dies) process.kill(process.pid, 'SIGKILL');
  };
  syncBuiltinESMExports();
`)}`;

const folder = mkdtempSync(join(tmpdir(), 'berth-removals-'));
const closing: (() => unknown)[] = [];
let redis: Redis;
let store: Store;
let files: FileStore;
let api: Program;

async function* once(text: string): AsyncGenerator<Buffer> {
  yield Buffer.from(text);
}

const upload = async (user: string, i: number): Promise<void> => {
  const [text, object] = [`${user} ${i}`, objectNames.upload(`of-${user}-${i}`)];
  await files.put(object, once(text));
  const file_id = createHash('sha256').update(text).digest('hex');
  await store.uploads.add({ user, file_id, object, bytes: text.length, name: null });
};

beforeAll(async () => {
  const path = (process.env.PATH ?? '').split(':');
  const say = () => {};
  const broker = await openBroker({
    redisUrl: undefined,
    dataDir: folder,
    path,
    env: process.env,
    docker: undefined,
    say,
  });
  closing.push(broker.close);
  redis = openRedis(broker.url, 'steady');
  closing.push(() => redis.disconnect());
  store = createStore(redis, PREFIX);
  const place = join(folder, 'files');
  files = await openLocalFiles(place);
  closing.push(files.close);
  const keeper = openKeeper(folder);
  closing.push(keeper.close);
  // In eight days all is old but what is kept for longer.
  const clock = createSkewedClock(folder, 'api', 8 * DAY_SECONDS);
  await store.retention.setBook({ users: { bob: { uploads_seconds: 30 * DAY_SECONDS } } });
  api = createProgram({
    name: 'api',
    command: process.execPath,
    args: ['--import', QUICKLY, '--import', MORTAL, programPath('apps/api/dist/main.js')],
    env: { REDIS_URL: broker.url, BERTH_PREFIX: PREFIX, BERTH_PORT: '0', BERTH_FILES: place, ...clock.env },
    folder,
    keeper,
    isReady: (output) => output.includes('listening'),
  });
  for (let i = 0; i < UPLOADS; i += 20) {
    await Promise.all(Array.from({ length: 20 }, (_, j) => upload('alice', i + j)));
  }
  await Promise.all(Array.from({ length: KEPT }, (_, i) => upload('bob', i)));
});
afterAll(async () => {
  await api?.end();
  for (const close of closing.reverse()) await close();
});

const collect = async <T>(all: AsyncIterable<T>): Promise<T[]> => {
  const found: T[] = [];
  for await (const one of all) found.push(one);
  return found;
};
const readEntries = () => collect(store.uploads.listAll());
const countMarked = async (): Promise<number> =>
  (await readEntries()).filter(({ removing }) => removing !== null).length;
const expectWhole = async (): Promise<void> => {
  const objects = (await collect(files.list('uploads/'))).map(({ name }) => name);
  expect((await readEntries()).map(({ object }) => object).sort()).toEqual(objects);
};

const countEntries = (): Promise<number> => redis.zcard(store.keys.files);

it('whoever is killed in the middle of removing uploads leaves nothing that the next does not mend', async () => {
  for (const death of DEATHS) {
    await redis.del(store.keys.sweeping('files'));
    await api.start({ unready: true, env: { BERTH_TEST_DEATH: death } });
    await api.ended(60_000);
    expect(await countMarked()).toBe(1);
  }
  expect(await countEntries()).toBeGreaterThan(KEPT + UPLOADS / 2);

  // It is nobody's turn to sweep, so what is left goes by a scrub, and by nothing else.
  await api.start();
  const port = /"port":(\d+)/.exec(api.output())?.[1];
  const reply = await fetch(`http://127.0.0.1:${port}/v1/scrub`, { method: 'POST' });
  expect(await reply.json()).toMatchObject({ found: [{ kind: 'uploads', why: 'removing' }] });
  expect(await countMarked()).toBe(0);
  await expectWhole();

  await redis.del(store.keys.sweeping('files'));
  await until('the rest to go', async () => (await countEntries()) === KEPT || undefined);
  await expectWhole();
  expect(await store.uploads.readStoredBytes('alice')).toBe(0);
  expect(await store.uploads.readStoredBytes('bob')).toBeGreaterThan(0);
});
