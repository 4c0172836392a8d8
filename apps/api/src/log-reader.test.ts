import type { LogEntry } from '@berth/store';
import { expect, it } from 'vitest';
import { createLogReader } from './log-reader.js';

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

it('reads every piece once and in order, whatever their sizes, and asks for little at a time', async () => {
  const pieces = toPieces(Array.from({ length: 400 }, (_, i) => (i % 130 < 100 ? 50 : 64 * KB)));
  const asked: number[] = [];
  const logs = {
    readAfter: async (_id: string, after: string, max_bytes: number) => {
      asked.push(max_bytes);
      return readFrom(pieces, after, max_bytes);
    },
  };
  const reader = createLogReader({ logs } as unknown as Parameters<typeof createLogReader>[0]);
  const seen: string[] = [];
  const query = { start: { after: '-' }, follow: false, signal: new AbortController().signal };
  for await (const entry of reader.read('job', query)) if (typeof entry !== 'string') seen.push(entry.id);
  expect(seen).toEqual(pieces.map(({ id }) => id));
  expect(Math.max(...asked)).toBe(64 * KB);
  expect(asked.length).toBeLessThan(120);
});

it('many who read the same at the same time read it once', async () => {
  const pieces = toPieces(Array.from({ length: 10 }, () => 40 * KB));
  let reads = 0;
  const logs = {
    readAfter: async (_id: string, after: string, max_bytes: number) => {
      reads += 1;
      await new Promise(setImmediate);
      return readFrom(pieces, after, max_bytes);
    },
  };
  const reader = createLogReader({ logs } as unknown as Parameters<typeof createLogReader>[0]);
  const query = { start: { after: '-' }, follow: false, signal: new AbortController().signal };
  const all = await Promise.all(
    Array.from({ length: 100 }, async () => {
      const seen: unknown[] = [];
      for await (const entry of reader.read('job', query)) seen.push(entry);
      return seen;
    }),
  );
  for (const seen of all) expect(seen).toEqual(pieces);
  // Nobody keeps what is read at the end, where more may come.
  expect(reads).toBeLessThan(100 + 15);
});
