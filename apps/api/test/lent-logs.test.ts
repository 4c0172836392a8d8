import { createStore, type LogStore, openRedis, type Store, type StoredJob } from '@berth/store';
import type { Redis } from 'ioredis';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { withLentLogs } from '../src/lent-logs.js';
import { findStart, type LogPlace } from '../src/log-start.js';
import { toPiece } from './log-writer.js';
import { openTestApi, settleJob, startJob, type TestApi } from './open-test-api.js';

/** Two are more than is read backwards at a time. */
const LINES = [1, 2, 3, 4].map((n) => `${n} ${'x'.repeat(150_000)}\n`);

let api: TestApi;
let redis: Redis;
let store: Store;
let job_id: string;
/** Puts the job back into Redis: it has ended, and its log stands in a segment and in the stream. */
let putBack: () => Promise<void>;
/** What the archive keeps of it. */
let archived: StoredJob | undefined;

const openStore = (): Store => createStore(redis, api.store.keys.prefix, api.context.files);

beforeAll(async () => {
  api = await openTestApi('lent-logs');
  redis = openRedis(process.env.REDIS_URL ?? '', 'steady');
  store = openStore();
  job_id = await api.submit();
  const claim = await startJob(store, job_id);
  for (const [i, line] of LINES.entries()) {
    await store.logs.append(claim, { first: i + 1, pieces: [toPiece(line)] });
    if (i === 1) await store.logs.seal(job_id, claim);
  }
  await settleJob(store, claim);
  const keys = [store.keys.job(job_id), store.keys.log(job_id), store.keys.segments(job_id)];
  const kept = await Promise.all(keys.map(async (key) => ({ key, dump: await redis.dumpBuffer(key) })));
  putBack = async () => {
    for (const { key, dump } of kept) await redis.restore(key, 0, dump, 'REPLACE');
  };
  while ((await store.logs.seal(job_id)).kind === 'sealed');
  [archived] = await store.archiving.readStored([job_id]);
});
afterAll(async () => {
  redis?.disconnect();
  await api?.close();
});

const history = { read: async () => ({ job: {} as never, segments: archived?.segments ?? [] }) };

/** What archiving it comes to, for somebody who reads it. */
const archive = async (): Promise<void> => {
  const { keys } = store;
  expect(await redis.unlink(keys.job(job_id), keys.segments(job_id), keys.log(job_id))).toBe(3);
};

/** Does something before the command of this number is sent, of those that come from now on. */
const interrupt = (number: number, work: () => Promise<void>) => {
  const { sendCommand } = redis;
  let left = number;
  redis.sendCommand = (...command) => {
    const sent = () => sendCommand.apply(redis, command);
    left -= 1;
    return left === 0 ? work().then(sent) : sent();
  };
  return {
    done: () => left <= 0,
    restore: () => void Object.assign(redis, { sendCommand }),
  };
};

const readFrom = (place: LogPlace) => async (logs: LogStore) => {
  const { first, after, trim = (entry) => entry } = await findStart(logs, job_id, place, ['stdout']);
  const found = first ? [first] : [];
  let last = after;
  for (let page = await logs.readAfter(job_id, last); page.length > 0; page = await logs.readAfter(job_id, last)) {
    found.push(...page.flatMap((entry) => trim(entry) ?? []));
    last = page.at(-1)?.id ?? last;
  }
  return Buffer.concat(found.map(({ bytes }) => bytes)).toString();
};

it.each([
  ['all of it', readFrom({})],
  ['its last lines', readFrom({ tail: 3 })],
  ['nothing of it', readFrom({ tail: 0 })],
  ['it from a byte on', readFrom({ offset: 200_000 })],
  ['its tails', (logs: LogStore) => logs.readTails(job_id, 1, 400_000)],
  ['its end', (logs: LogStore) => logs.readEnd(job_id)],
])('whenever a job leaves for the archive, whoever reads %s reads the same', async (_, read) => {
  await putBack();
  const expected = JSON.stringify(await read(store.logs));
  for (let number = 1; ; number += 1) {
    await putBack();
    // One that remembers nothing.
    const fresh = openStore();
    const archiving = interrupt(number, archive);
    const found = JSON.stringify(await read(withLentLogs(fresh, history)).finally(archiving.restore));
    if (!archiving.done()) break;
    // Without what `expect` would show of such long texts.
    if (found !== expected) throw new Error(`archived before command ${number}: ${found.length} characters`);
  }
});
