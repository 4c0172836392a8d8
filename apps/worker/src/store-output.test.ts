import type { LogBatch } from '@berth/store';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { createFakeLogs, createLogBook } from '../test/fakes.js';
import { createStoring, PATIENCE_MS } from './store-output.js';

const FULL = Object.assign(new Error("OOM command not allowed when used memory > 'maxmemory'."), {
  name: 'ReplyError',
});
const piece = (text: string) => ({ stream: 'stdout' as const, attempt: 1, bytes: Buffer.from(text) });

/** A store that refuses output while it is full, as Redis does: it takes notes by themselves. */
const open = () => {
  const kept = createFakeLogs();
  const sent: LogBatch[] = [];
  const store = { full: false };
  const { logs } = createFakeLogs({
    append: async (claim, batch) => {
      sent.push(batch);
      if (store.full && batch.pieces.some(({ stream }) => stream !== 'note')) throw FULL;
      return kept.logs.append(claim, batch);
    },
  });
  const claim = { job_id: 'job-1', epoch: 1, owner: 'worker-1', attempt: 1 };
  const storing = createStoring({ claim, logs, log: createLogBook().log, first: 1 });
  const readAll = () => kept.textOf('stdout', 'note');
  return { storing, store, sent, readAll };
};

describe('output that a full store refuses', () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  it('is offered again, and stored in order once there is room', async () => {
    const { storing, store, readAll } = open();
    store.full = true;
    storing.store([piece('a')], []);
    storing.store([piece('b')], []);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(readAll()).toBe('');
    store.full = false;
    await vi.advanceTimersByTimeAsync(500);
    storing.store([piece('c')], []);
    await storing.end();
    expect(readAll()).toBe('abc');
  });

  it('is waited for at the end too', async () => {
    const { storing, store, readAll } = open();
    store.full = true;
    storing.store([piece('last')], []);
    const ended = storing.end();
    await vi.advanceTimersByTimeAsync(PATIENCE_MS - 1_000);
    store.full = false;
    await vi.advanceTimersByTimeAsync(500);
    await ended;
    expect(readAll()).toBe('last');
  });

  it('is given up some time after the end, and a note says so', async () => {
    const { storing, store, readAll } = open();
    storing.store([piece('kept')], []);
    await vi.advanceTimersByTimeAsync(0);
    store.full = true;
    storing.store([piece('lost')], []);
    const ended = storing.end();
    await vi.advanceTimersByTimeAsync(PATIENCE_MS + 1_000);
    await ended;
    expect(readAll()).toBe('kept\n[berth] 4 bytes of output could not be stored\n');
  });

  it('is lost where it is too much to hold, and what follows comes behind a note of it', async () => {
    const { storing, store, readAll } = open();
    store.full = true;
    storing.store([piece('x'.repeat(1024 * 1024 + 1))], []);
    storing.store([piece('y')], []);
    await vi.advanceTimersByTimeAsync(1_000);
    store.full = false;
    await vi.advanceTimersByTimeAsync(500);
    await storing.end();
    expect(readAll()).toBe('\n[berth] 1048577 bytes of output could not be stored\ny');
  });

  it('is left to whoever takes over, without a note, where the worker leaves', async () => {
    const { storing, store, sent, readAll } = open();
    store.full = true;
    storing.store([piece('a')], []);
    storing.store([piece('b')], []);
    const left = storing.leave();
    await vi.advanceTimersByTimeAsync(500);
    await left;
    store.full = false;
    storing.store([piece('c')], []);
    await vi.advanceTimersByTimeAsync(500);
    expect(readAll()).toBe('');
    expect(sent).toHaveLength(1);
  });
});
