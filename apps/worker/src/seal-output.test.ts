import { FilesUnavailable, type LogPiece, type Sealed, toBrokerBytes } from '@berth/store';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { createFakeLogs, createLogBook } from '../test/fakes.js';
import { createOutputBudget } from './output-budget.js';
import { createStoring, PATIENCE_MS } from './store-output.js';

const MB = 1024 * 1024;
const piece = (bytes: number): LogPiece => ({ stream: 'stdout', attempt: 1, bytes: Buffer.alloc(bytes, 'x') });

/** A broker that takes everything, and a file store that can be away. */
const open = (more: { shared_bytes?: number } = {}) => {
  const kept = createFakeLogs();
  const files = { away: false, seals: 0, sealed: 0 };
  let unsealed: LogPiece[] = [];
  const { logs } = createFakeLogs({
    append: async (claim, batch) => {
      unsealed.push(...batch.pieces);
      return kept.logs.append(claim, batch);
    },
    seal: async (): Promise<Sealed> => {
      files.seals += 1;
      await new Promise((resolve) => setTimeout(resolve, 1));
      if (files.away) throw new FilesUnavailable('away');
      const taken = unsealed;
      unsealed = [];
      if (taken.length === 0) return { kind: 'empty' };
      files.sealed += taken.length;
      return { kind: 'sealed', bytes: taken.reduce((sum, one) => sum + toBrokerBytes(one), 0) };
    },
  });
  const claim = { job_id: 'job-1', epoch: 1, owner: 'worker-1', attempt: 1 };
  const budget = createOutputBudget(more.shared_bytes);
  const storing = createStoring({ claim, logs, log: createLogBook().log, first: 1, budget });
  const unsealedBytes = () => unsealed.reduce((sum, { bytes }) => sum + bytes.length, 0);
  return { storing, files, kept, unsealedBytes };
};

describe('output on its way into the file store', () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  it('of a short job makes no file at all', async () => {
    const { storing, files } = open();
    storing.store([piece(60 * 1024)], []);
    await storing.end();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(files.seals).toBe(0);
  });

  it('of more than a little is sealed when it ends, and nobody waits for that', async () => {
    const { storing, files } = open();
    storing.store([piece(70 * 1024)], []);
    files.away = true;
    await storing.end();
    await vi.advanceTimersByTimeAsync(60_000);
    // The API does it later.
    expect(files.seals).toBe(1);
  });

  it('is sealed while it runs, beside what is stored next', async () => {
    const { storing, files, kept } = open();
    for (let i = 0; i < 40; i += 1) storing.store([piece(MB / 10)], []);
    for (let i = 0; i < 20; i += 1) await Promise.resolve();
    expect([kept.pieces.length, files.sealed]).toEqual([40, 0]);
    await vi.advanceTimersByTimeAsync(10);
    expect(files.sealed).toBe(40);
  });

  it('that cannot be sealed fills its part of the broker, then of the memory, and then is lost with a note', async () => {
    const { storing, files, kept, unsealedBytes } = open({ shared_bytes: 4 * MB });
    files.away = true;
    for (let i = 0; i < 20; i += 1) {
      storing.store([piece(MB)], []);
      await vi.advanceTimersByTimeAsync(2);
    }
    expect(unsealedBytes()).toBe(8 * MB);
    files.away = false;
    await vi.advanceTimersByTimeAsync(60_000);
    storing.store([piece(1)], []);
    await vi.advanceTimersByTimeAsync(10);
    await storing.end();
    const streams = kept.pieces.map(({ stream, bytes }) => (stream === 'note' ? bytes.toString() : bytes.length));
    const stored = streams.filter((one) => one === MB).length;
    expect(streams).toEqual([
      ...Array.from({ length: stored }, () => MB),
      `\n[berth] ${(20 - stored) * MB} bytes of output could not be stored\n`,
      1,
    ]);
    expect(stored).toBeGreaterThanOrEqual(8 + 5);
    expect(stored).toBeLessThanOrEqual(8 + 6);
  });

  it('is given up some time after the end where the file store stays away', async () => {
    const { storing, files, kept } = open();
    files.away = true;
    for (let i = 0; i < 12; i += 1) storing.store([piece(MB)], []);
    await vi.advanceTimersByTimeAsync(1_000);
    const ended = storing.end();
    await vi.advanceTimersByTimeAsync(PATIENCE_MS + 1_000);
    await ended;
    expect(kept.textOf('note')).toMatch(/^\n\[berth\] \d+ bytes of output could not be stored\n$/);
  });

  it('is left to the heir by a worker that leaves', async () => {
    const { storing, files, kept } = open();
    files.away = true;
    for (let i = 0; i < 12; i += 1) storing.store([piece(MB)], []);
    await vi.advanceTimersByTimeAsync(1_000);
    const left = storing.leave();
    await vi.advanceTimersByTimeAsync(1_000);
    await left;
    expect(kept.textOf('note')).toBe('');
    const { seals } = files;
    await vi.advanceTimersByTimeAsync(60_000);
    expect(files.seals).toBe(seals);
  });
});

describe('the memory for output', () => {
  it('is shared, and each job has a part that no other can take', () => {
    const budget = createOutputBudget(4 * MB);
    const [loud, quiet] = [budget.open(), budget.open()];
    expect([loud.take(5 * MB), loud.take(1)]).toEqual([true, false]);
    expect([quiet.take(MB), quiet.take(1)]).toEqual([true, false]);
    loud.release(1);
    expect([quiet.take(1), quiet.take(1)]).toEqual([true, false]);
  });
});
