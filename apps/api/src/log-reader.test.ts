import type { LogEntry } from '@berth/store';
import { expect, it } from 'vitest';
import { createLogReader, toHeld } from './log-reader.js';

const KB = 1024;
const toPieces = (sizes: number[]): LogEntry[] =>
  sizes.map((size, i) => ({ id: `1-${i + 1}`, stream: 'stdout', attempt: 1, bytes: Buffer.alloc(size) }));

it.each([
  ['small pieces are all held', [10, 20, 30], 3],
  ['pieces up to the limit', [32 * KB, 32 * KB, 1], 2],
  ['a piece beyond the limit by itself', [100 * KB, 10], 1],
  ['nothing of nothing', [], 0],
])('%s', (_what, sizes, count) => {
  const page = toPieces(sizes);
  expect(toHeld(page)).toEqual(page.slice(0, count));
});

it('reads every piece once and in order, whatever their sizes, and holds little of them', async () => {
  const sizes = Array.from({ length: 400 }, (_, i) => (i % 130 < 100 ? 50 : 64 * KB));
  const pieces = toPieces(sizes);
  const asked: number[] = [];
  const logs = {
    readAfter: async (_id: string, after: string, count: number) => {
      asked.push(count);
      const from = after === '-' ? 0 : Number(after.split('-')[1]);
      return pieces.slice(from, from + count);
    },
  };
  const reader = createLogReader({ logs } as unknown as Parameters<typeof createLogReader>[0]);
  const seen: string[] = [];
  const query = { start: { after: '-' }, follow: false, signal: new AbortController().signal };
  for await (const entry of reader.read('job', query)) if (entry !== 'idle') seen.push(entry.id);
  expect(seen).toEqual(pieces.map(({ id }) => id));
  expect(Math.max(...asked)).toBe(64);
  expect(asked.length).toBeLessThan(300);
});
