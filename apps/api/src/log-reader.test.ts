import type { JobRecord, LogEntry } from '@berth/store';
import { expect, it } from 'vitest';
import type { FeedParts } from './log-feed.js';
import { createLogReader, type LogItem, type LogQuery } from './log-reader.js';

const KB = 1024;
const toPieces = (sizes: number[]): LogEntry[] =>
  sizes.map((size, i) => ({ id: `1-${i + 1}`, stream: 'stdout', attempt: 1, at: 0, bytes: Buffer.alloc(size) }));

/** What follows a piece, of so many bytes and at least one. */
const readFrom = (pieces: LogEntry[], after: string, max_bytes: number): LogEntry[] => {
  const from = after === '-' ? 0 : Number(after.split('-')[1]);
  let size = 0;
  return pieces.slice(from).filter(({ bytes }, i) => {
    size += bytes.length;
    return i === 0 || size <= max_bytes;
  });
};

type Read = (after: string, max_bytes: number) => Promise<LogEntry[]>;

/** A reader of a log that is read like this, and whose pieces now are these. */
const openReader = (pieces: LogEntry[], read: Read, more: Partial<FeedParts> = {}) => {
  const logs = {
    readAfter: (_id: string, after: string, max_bytes: number) => read(after, max_bytes),
    readEnd: async () => pieces.at(-1)?.id ?? '-',
  };
  return createLogReader({ logs, ...more } as unknown as FeedParts);
};

const toQuery = (more: Partial<LogQuery> = {}): LogQuery => ({
  start: { after: '-' },
  follow: false,
  signal: new AbortController().signal,
  ...more,
});

const readIds = async (items: AsyncIterable<LogItem>): Promise<string[]> => {
  const ids: string[] = [];
  for await (const item of items) ids.push(typeof item === 'string' ? item : item.id);
  return ids;
};

it('reads every piece once and in order, whatever their sizes, and asks for little at a time', async () => {
  const pieces = toPieces(Array.from({ length: 400 }, (_, i) => (i % 130 < 100 ? 50 : 64 * KB)));
  const asked: number[] = [];
  const reader = openReader(pieces, async (after, max_bytes) => {
    asked.push(max_bytes);
    return readFrom(pieces, after, max_bytes);
  });
  expect(await readIds(reader.read('job', toQuery()))).toEqual(pieces.map(({ id }) => id));
  expect(Math.max(...asked)).toBe(64 * KB);
  expect(asked.length).toBeLessThan(120);
});

it('many who read the same at the same time read it once', async () => {
  const pieces = toPieces(Array.from({ length: 10 }, () => 40 * KB));
  let reads = 0;
  const reader = openReader(pieces, async (after, max_bytes) => {
    reads += 1;
    await new Promise(setImmediate);
    return readFrom(pieces, after, max_bytes);
  });
  const all = await Promise.all(Array.from({ length: 100 }, () => readIds(reader.read('job', toQuery()))));
  for (const seen of all) expect(seen).toEqual(pieces.map(({ id }) => id));
  expect(reads).toBe(10);
});

it('ends, where nobody follows, at what was the end when it began, however fast the job goes on writing', async () => {
  const pieces = toPieces([64 * KB, 64 * KB, 64 * KB]);
  const reader = openReader(pieces, async (after, max_bytes) => {
    if (pieces.length < 50)
      pieces.push(...toPieces(Array.from({ length: pieces.length + 2 }, () => 64 * KB)).slice(-2));
    return readFrom(pieces, after, max_bytes);
  });
  expect(await readIds(reader.read('job', toQuery()))).toEqual(['1-1', '1-2', '1-3']);
});

it('a follower whose page was asked for by another one, before anything stood there, goes on', async () => {
  const pieces = toPieces([1]);
  let reads = 0;
  let answer = (_: LogEntry[]): void => {};
  const late = new Promise<LogEntry[]>((resolve) => {
    answer = resolve;
  });
  const read: Read = (after) => {
    reads += 1;
    return reads === 1 ? late : Promise.resolve(readFrom(pieces, after, KB));
  };
  const leave = new AbortController();
  const reader = openReader(pieces, read, {
    channels: { subscribe: async () => () => {} } as unknown as FeedParts['channels'],
    toChannel: (id) => id,
    waiters: { listen: () => () => {} } as unknown as FeedParts['waiters'],
    readJob: async () => ({ state: 'running' }) as JobRecord,
  });
  const other = readIds(reader.read('job', toQuery()));
  while (reads === 0) await Promise.resolve();
  const follower = reader.read('job', toQuery({ follow: true, signal: leave.signal }));
  const first = follower.next();
  // Until it waits for what the other one has asked for.
  await new Promise(setImmediate);
  answer([]);
  expect(await first).toMatchObject({ value: { id: '1-1' }, done: false });
  leave.abort();
  await follower.return(undefined);
  await other;
});
