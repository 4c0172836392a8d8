import { randomUUID } from 'node:crypto';
import { type Claim, createStore, type LogEntry, openRedis, type Store, type StoredPosition } from '@berth/store';
import fc from 'fast-check';
import { describe, expect, it, onTestFinished } from 'vitest';
import { openOutput } from '../src/output.js';
import type { OutputStream } from '../src/runtime/container-runtime.js';
import { createSkip } from '../src/runtime/output-position.js';
import { createLogBook, toClaim } from './fakes.js';

interface Write {
  stream: OutputStream;
  bytes: Buffer;
}

const openStore = () => {
  const { REDIS_URL } = process.env;
  if (REDIS_URL === undefined) throw new Error('REDIS_URL is not set: run these tests through vitest');
  const redis = openRedis(REDIS_URL, 'steady');
  const store = createStore(redis, `test-takeover-${process.pid}`);
  onTestFinished(async () => {
    const keys = await redis.keys(`${store.keys.prefix}:*`);
    if (keys.length > 0) await redis.unlink(...keys);
    redis.disconnect();
  });
  const setOwner = (job_id: string, owner: string) =>
    redis.hset(store.keys.job(job_id), { state: 'running', epoch: 1, owner });
  return { store, setOwner };
};

const open = (store: Store, claim: Claim, limitBytes: number, from: StoredPosition) =>
  openOutput({
    claim,
    limitBytes,
    logs: store.logs,
    log: createLogBook().log,
    workloadLines: false,
    from,
  });

/** What the engine gives to whoever reads from the beginning: every write, in its order. */
const writes = fc.array(
  fc.record({
    stream: fc.constantFrom<OutputStream>('stdout', 'stderr'),
    bytes: fc
      .string({ unit: fc.constantFrom('a', 'é', '€', '😀', '\n'), maxLength: 12 })
      .map((text) => Buffer.from(text)),
    cut: fc.nat(20),
  }),
  { minLength: 1, maxLength: 14 },
);

/** Each write in two, so that characters come in halves. */
const toWrites = (whole: (Write & { cut: number })[]): Write[] =>
  whole.flatMap(({ stream, bytes, cut }) => [
    { stream, bytes: bytes.subarray(0, cut) },
    { stream, bytes: bytes.subarray(cut) },
  ]);

const join = (pieces: { stream: string; bytes: Buffer }[], stream: string): Buffer =>
  Buffer.concat(pieces.filter((piece) => piece.stream === stream).map(({ bytes }) => bytes));

const readAll = async (store: Store, job_id: string): Promise<LogEntry[]> => {
  const entries = await store.logs.readAfter(job_id);
  for (let page = entries; page.length > 0; entries.push(...page)) {
    page = await store.logs.readAfter(job_id, entries.at(-1)?.id);
  }
  return entries;
};

interface Turn {
  writes: number;
  detaches: boolean;
  slow: boolean;
}

type Output = ReturnType<typeof open>;

/** Some of the output, from where the store ended. Who was the owner before, and did not leave, writes it too. */
const write = async (all: Write[], sink: Output['sink'], former: Output[], slow: boolean) => {
  for (const { stream, bytes } of all) {
    sink(stream, bytes);
    for (const other of former) other.sink(stream, bytes);
    if (slow) await new Promise((resolve) => setTimeout(resolve, 3));
  }
};

/** Workers take one another's place after so many writes, and the last one writes to the end. */
const play = async (it: ReturnType<typeof openStore>, all: Write[], turns: Turn[], limit: number) => {
  const job_id = randomUUID();
  const former: Output[] = [];
  for (const [i, { writes, detaches, slow }] of turns.entries()) {
    const owner = `worker-${i}`;
    await it.setOwner(job_id, owner);
    const from = await it.store.logs.readPosition(job_id, 1);
    const output = open(it.store, toClaim({ job_id, owner }), limit, from);
    const { sink } = createSkip(from, output.sink, output.onGap);
    const last = i === turns.length - 1;
    await write(last ? all : all.slice(0, writes), sink, former, slow);
    if (last) await output.close();
    else if (detaches) await output.detach();
    else former.push(output);
  }
  await Promise.all(former.map((output) => output.close()));
  return readAll(it.store, job_id);
};

const turns = fc.array(fc.record({ writes: fc.nat(28), detaches: fc.boolean(), slow: fc.boolean() }), {
  minLength: 2,
  maxLength: 4,
});

describe('output that goes from worker to worker', () => {
  it('any output, any moments, in order or not: the stored log is the true one', async () => {
    const it = openStore();
    await fc.assert(
      fc.asyncProperty(writes, turns, async (whole, order) => {
        const all = toWrites(whole);
        const log = await play(it, all, order, 1_000_000);
        for (const stream of ['stdout', 'stderr']) {
          expect(join(log, stream).toString('hex')).toBe(join(all, stream).toString('hex'));
        }
        expect(join(log, 'note').toString()).toBe('');
      }),
      { numRuns: 40 },
    );
  }, 180_000);

  it('beyond the limit: a true beginning, and the whole of a short end', async () => {
    const it = openStore();
    await fc.assert(
      fc.asyncProperty(writes, turns, fc.integer({ min: 1, max: 60 }), async (whole, order, limit) => {
        const all = toWrites(whole);
        const log = await play(it, all, order, limit);
        for (const stream of ['stdout', 'stderr']) {
          expect(join(log, stream).toString('hex')).toBe(join(all, stream).toString('hex'));
        }
      }),
      { numRuns: 40 },
    );
  }, 180_000);
});
