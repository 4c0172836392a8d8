import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { get, type IncomingMessage } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Claim, createStore, openLocalFiles, openRedis, type Store } from '@berth/store';
import type { Redis } from 'ioredis';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Berth, startBerth, until } from '../harness.js';
import { measureGrowth } from '../memory.js';

const FOLLOWERS = 1_000;
const MB = 1024 ** 2;

let berth: Berth;
let redis: Redis;
let store: Store;
const folder = mkdtempSync(join(tmpdir(), 'berth-followers-'));
beforeAll(async () => {
  berth = await startBerth({ workers: 0, env: { BERTH_FILES: folder } });
  redis = openRedis(process.env.REDIS_URL ?? '', 'steady');
  store = createStore(redis, berth.prefix, await openLocalFiles(folder));
});
afterAll(async () => {
  await berth?.close();
  redis?.disconnect();
  rmSync(folder, { recursive: true, force: true });
});

/** Plays a worker. */
const openLog = async () => {
  const { job_id } = await berth.submit({ command: 'true' });
  const place = { node: 'n', labels: {}, region: 'default', datacenter: 'default', gpus: [] };
  const capacity = { centicpus: 400, memory_mb: 4_096, gpus: 0 };
  const reply = await store.claims.claim(job_id, { worker: 'w', engine: job_id, ...place, capacity });
  if (reply.kind !== 'claimed') throw new Error(`expected to claim, got ${reply.kind}`);
  const { claim } = reply;
  let first = 1;
  let written = '';
  return {
    claim,
    written: () => written,
    async write(text: string): Promise<void> {
      const piece = { stream: 'stdout' as const, attempt: 1, bytes: Buffer.from(text) };
      expect(await store.logs.append(claim, { first, pieces: [piece] })).toBe('stored');
      first += 1;
      written += text;
    },
  };
};

const end = (claim: Claim) => {
  const entry = { node: 'n', image_digest: null, evidence: null };
  const ended = { type: 'completed', cause: null, exit_code: 0, message: null } as const;
  return store.claims.settle(claim, { ...ended, delay_ms: 0, entry });
};

const HEARTBEAT = ': alive';

/** The text of the log that the events of a stream have told. */
const toText = (frames: string[]): string =>
  frames
    .filter((frame) => frame.includes('event: log\n'))
    .map((frame) => (JSON.parse(frame.slice(frame.indexOf('data: ') + 6)) as { text: string }).text)
    .join('');

/** On a connection of its own. A broker that does not answer is waited for. */
const open = async (job_id: string, after: string | undefined): Promise<IncomingMessage> => {
  const url = `${berth.url}/v1/jobs/${job_id}/logs`;
  const headers = { accept: 'text/event-stream', ...(after === undefined ? {} : { 'last-event-id': after }) };
  return until('the stream to begin', async () => {
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      get(url, { headers, agent: false }, resolve).on('error', reject);
    });
    if (response.statusCode === 200) return response;
    response.resume();
    return undefined;
  });
};

/** Hands on each event of a stream. `opened`: it has begun; `ended`: it is over. */
const listen = (job_id: string, after: string | undefined, onEvent: (frame: string) => void) => {
  const opened = open(job_id, after);
  const ended = opened.then(async (response) => {
    let rest = '';
    for await (const text of response.setEncoding('utf8')) {
      const frames = `${rest}${text}`.split('\n\n');
      rest = frames.pop() ?? '';
      for (const frame of frames) if (frame !== HEARTBEAT) onEvent(frame);
    }
  });
  return { opened, ended };
};

/**
 * A client on a connection of its own: what it has heard so far, and the hash of all of it. Should it be told of a gap, as it took nothing for
 * long, it comes back. All that it hears is kept in `told`.
 */
const openFollower = async (job_id: string, told?: string[]) => {
  const hash = createHash('sha256');
  const heard = { bytes: 0 };
  let last = '';
  let gap: string | undefined;
  const onEvent = (frame: string): void => {
    gap = /^event: gap\ndata: {"from":"([^"]+)"}$/.exec(frame)?.[1];
    if (gap !== undefined) return;
    heard.bytes += frame.length;
    last = frame;
    hash.update(`${frame}\n\n`);
    told?.push(frame);
  };
  const first = listen(job_id, undefined, onEvent);
  const goOn = async (): Promise<void> => {
    await first.ended;
    while (gap !== undefined) await listen(job_id, gap, onEvent).ended;
  };
  const ended = goOn();
  // Where the test fails before it waits for them, that is what is to be read, not what each of them met.
  ended.catch(() => undefined);
  await first.opened;
  return { heard, finish: async () => ended.then(() => ({ sha256: hash.digest('hex'), last })) };
};

/** So many follow a log that is stored in part, is sealed while it grows, and ends. What each has heard, as a hash; the first heard what was written. */
const play = async (followers: number): Promise<string[]> => {
  const { claim, write, written } = await openLog();
  const told: string[] = [];
  for (let i = 0; i < 20; i += 1) await write(`${i} ${'x'.repeat(10_000)}\n`);
  await store.logs.seal(claim.job_id, claim);
  await write('stored, and not sealed\n');
  const all = await Promise.all(
    Array.from({ length: followers }, (_, i) => openFollower(claim.job_id, i === 0 ? told : undefined)),
  );
  await until(
    'all to have caught up',
    async () => all.every(({ heard }) => heard.bytes > 200_000) || undefined,
    200_000,
  );
  for (let i = 0; i < 100; i += 1) await write(`${i} ${'y'.repeat(1_000)}\n`);
  await store.logs.seal(claim.job_id, claim);
  for (let i = 0; i < 5; i += 1) await write(`${i} ${'z'.repeat(60_000)}\n`);
  await end(claim);
  const finished = await Promise.all(all.map(({ finish }) => finish()));
  for (const { last } of finished) expect(last).toContain('event: end\ndata: {"state":"completed"');
  // Without what `toBe` would show of such long texts.
  expect(toText(told) === written()).toBe(true);
  return finished.map(({ sha256 }) => sha256);
};

it('a thousand followers of one job hear the same, and cost the API less than 100 MB', {
  timeout: 400_000,
}, async () => {
  await play(20);
  let heard: string[] = [];
  const grew = await measureGrowth(berth.api.pid, async () => {
    heard = await play(FOLLOWERS);
  });
  process.stdout.write(`the API grew by ${Math.round(grew / MB)} MB\n`);
  expect(new Set(heard).size).toBe(1);
  expect(grew).toBeLessThan(100 * MB);
});
