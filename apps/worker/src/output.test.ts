import type { LogPiece } from '@berth/store';
import fc from 'fast-check';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { createFakeLogs, createLogBook } from '../test/fakes.js';
import { openOutput } from './output.js';
import { TAIL_BYTES } from './output-pieces.js';
import type { OutputStream } from './runtime/container-runtime.js';

const open = (limitBytes = 1_000_000, logs = createFakeLogs(), workloadLines = false) => {
  const book = createLogBook();
  const output = openOutput({
    claim: { job_id: 'job-1', epoch: 1, owner: 'worker-1', attempt: 3 },
    limitBytes,
    logs: logs.logs,
    log: book.log,
    workloadLines,
  });
  return { ...logs, output, book };
};

const concat = (pieces: LogPiece[], ...streams: LogPiece['stream'][]): Buffer =>
  Buffer.concat(pieces.filter((piece) => streams.includes(piece.stream)).map((piece) => piece.bytes));
const utf8 = new TextDecoder('utf8', { fatal: true });

/** Some text in chunks cut anywhere, each on either stream, with flushes in between. */
const chunksOf = (text: fc.Arbitrary<string>) =>
  fc.array(
    fc.record({
      stream: fc.constantFrom<OutputStream>('stdout', 'stderr'),
      bytes: text.map((t) => Buffer.from(t)),
      cuts: fc.array(fc.nat(50), { maxLength: 4 }),
      flush: fc.boolean(),
    }),
    { maxLength: 12 },
  );

interface Write {
  stream: OutputStream;
  bytes: Buffer;
  flush: boolean;
}

/** Cuts each text at its places and deals the parts of the two streams out in turn, so that characters are broken across them. */
const toWrites = (chunks: (Write & { cuts: number[] })[]): Write[] => {
  const parts = chunks.map(({ stream, bytes, cuts, flush }) => {
    const edges = [0, ...cuts.map((cut) => Math.min(cut, bytes.length)).sort((a, b) => a - b), bytes.length];
    return edges.slice(1).map((edge, i) => ({ stream, bytes: bytes.subarray(edges[i], edge), flush }));
  });
  const queues = (['stdout', 'stderr'] as const).map((s) => parts.flat().filter((part) => part.stream === s));
  const writes: Write[] = [];
  while (queues.some((queue) => queue.length > 0)) {
    for (const queue of queues) {
      const next = queue.shift();
      if (next) writes.push(next);
    }
  }
  return writes;
};

const play = async (writes: Write[], it: ReturnType<typeof open>) => {
  for (const { stream, bytes, flush } of writes) {
    it.output.sink(stream, bytes);
    if (flush) vi.advanceTimersByTime(30);
  }
  await it.output.close();
};

/** Compares as a whole: `toEqual` looks at byte for byte. */
const expectStored = (pieces: LogPiece[], writes: Write[]) => {
  for (const stream of ['stdout', 'stderr'] as const) {
    const whole = Buffer.concat(writes.filter((write) => write.stream === stream).map((write) => write.bytes));
    expect(concat(pieces, stream).toString('hex')).toBe(whole.toString('hex'));
  }
};

afterEach(() => void vi.useRealTimers());

describe('output', () => {
  it('is stored after a short while, in order of arrival, of this attempt', async () => {
    vi.useFakeTimers();
    const { output, pieces } = open();
    output.sink('stdout', Buffer.from('a'));
    output.sink('stdout', Buffer.from('b'));
    output.sink('stderr', Buffer.from('c'));
    output.sink('stdout', Buffer.from('d'));
    expect(pieces).toEqual([]);
    await vi.advanceTimersByTimeAsync(30);
    const seen = pieces.map(({ stream, attempt, bytes }) => [stream, attempt, bytes.toString()]);
    expect(seen).toEqual([
      ['stdout', 3, 'ab'],
      ['stderr', 3, 'c'],
      ['stdout', 3, 'd'],
    ]);
    await output.close();
    expect(pieces).toHaveLength(3);
  });

  it('is copied: the runtime uses its buffer again', async () => {
    const { output, pieces } = open(4);
    const buffer = Buffer.from('abcdef');
    output.sink('stdout', buffer);
    buffer.fill('x');
    await output.close();
    expect(concat(pieces, 'stdout').toString()).toBe('abcdef');
  });

  it('any: each stream is stored byte for byte, in order', async () => {
    vi.useFakeTimers();
    const bytes = fc.uint8Array({ maxLength: 60 }).map((array) => Buffer.from(array));
    const chunk = fc.record({
      stream: fc.constantFrom<OutputStream>('stdout', 'stderr'),
      bytes,
      flush: fc.boolean(),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(chunk), async (writes) => {
        const it = open();
        await play(writes, it);
        expectStored(it.pieces, writes);
      }),
      { numRuns: 200 },
    );
  });

  it('of text, within the limit or cut: every piece can be decoded alone', async () => {
    vi.useFakeTimers();
    const text = fc.string({ unit: fc.constantFrom('a', 'é', '€', '😀', '\n'), maxLength: 20 });
    await fc.assert(
      fc.asyncProperty(chunksOf(text), fc.integer({ min: 1, max: 200 }), async (chunks, limit) => {
        const it = open(limit);
        const writes = toWrites(chunks);
        await play(writes, it);
        for (const piece of it.pieces) utf8.decode(piece.bytes);
        expectStored(it.pieces, writes);
      }),
      { numRuns: 100 },
    );
  });

  it('of three-byte characters, cut in their midst: what is kept can be decoded, and the note counts the rest', async () => {
    for (const extra of [0, 1, 2, 3]) {
      const it = open(100 + extra);
      const all = Buffer.from('€'.repeat(30_000));
      for (let at = 0; at < all.length; at += 1_000) it.output.sink('stdout', all.subarray(at, at + 1_000));
      it.output.sink('stderr', Buffer.from('end'));
      await it.output.close();
      for (const piece of it.pieces) utf8.decode(piece.bytes);
      const kept = concat(it.pieces, 'stdout').length;
      expect(it.textOf('note')).toContain(` ${all.length - kept} bytes of output were cut here`);
      expect(kept).toBeLessThanOrEqual(100 + extra + TAIL_BYTES);
      expect(kept).toBeGreaterThan(TAIL_BYTES);
      expect(it.textOf('stderr')).toBe('end');
    }
  });

  it('beyond the limit: the beginning, a note of what is missing, and the end of each stream', async () => {
    const it = open(1_000);
    const all = Buffer.from(Array.from({ length: 100_000 }, (_, i) => String.fromCharCode(97 + (i % 26))).join(''));
    it.output.sink('stdout', all);
    it.output.sink('stderr', Buffer.from('the error'));
    await it.output.close();
    const [beginning, note, out, err] = it.pieces.map((p) => p.bytes.toString());
    expect(it.pieces.map((p) => p.stream)).toEqual(['stdout', 'note', 'stdout', 'stderr']);
    expect(beginning).toBe(all.subarray(0, 1_000).toString());
    expect(note).toBe(
      `\n[berth] ${100_000 - 1_000 - TAIL_BYTES} bytes of output were cut here; what follows is the end of it.\n`,
    );
    expect(out).toBe(all.subarray(-TAIL_BYTES).toString());
    expect(err).toBe('the error');
  });

  it('beyond the limit by less than a tail: all of it, and no note', async () => {
    const it = open(10);
    it.output.sink('stdout', Buffer.from('0123456789abc'));
    it.output.sink('stdout', Buffer.from('def'));
    await it.output.close();
    expect(it.textOf('stdout', 'note')).toBe('0123456789abcdef');
  });

  it('that the store refused is noted where it is missing', async () => {
    let appends = 0;
    const kept = createFakeLogs();
    const fake = createFakeLogs({
      append: async (claim, batch) => {
        appends += 1;
        if (appends === 1) throw new Error('OOM');
        return kept.logs.append(claim, batch);
      },
    });
    const { output, book } = open(1_000_000, fake);
    output.sink('stdout', Buffer.alloc(70_000, 'x'));
    await new Promise((resolve) => setImmediate(resolve));
    output.sink('stdout', Buffer.from('rest'));
    await output.close();
    expect(kept.textOf('note', 'stdout')).toBe('\n[berth] 70000 bytes of output could not be stored\nrest');
    expect(book.find('could not store output')).toBe(1);
  });

  it('of 1 GB is held in less than 50 MB', async () => {
    let stored = 0;
    const logs = createFakeLogs({
      append: async (_claim, { pieces }) => {
        for (const piece of pieces) stored += piece.bytes.length;
        return 'stored';
      },
    });
    const limit = 10 * 1024 * 1024;
    const { output } = open(limit, logs);
    const measure = () => {
      const { heapUsed, external } = process.memoryUsage();
      return heapUsed + external;
    };
    const chunk = Buffer.alloc(64 * 1024, 'y\n');
    const before = measure();
    let peak = before;
    for (let i = 0; i < 16_384; i += 1) {
      output.sink(i % 3 ? 'stdout' : 'stderr', chunk);
      if (i % 64 === 0) {
        await new Promise((resolve) => setImmediate(resolve));
        peak = Math.max(peak, measure());
      }
    }
    await output.close();
    expect(peak - before).toBeLessThan(50 * 1024 * 1024);
    expect(stored).toBeLessThan(limit + 2 * TAIL_BYTES + 200);
    expect(stored).toBeGreaterThanOrEqual(limit + 2 * TAIL_BYTES);
  });
});
