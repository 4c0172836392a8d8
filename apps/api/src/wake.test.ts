import { describe, expect, it, vi } from 'vitest';
import { createWake } from './wake.js';

const never = new AbortController().signal;

describe('createWake', () => {
  it('keeps a ring that nobody waited for, once', async () => {
    vi.useFakeTimers();
    const wake = createWake();
    wake.ring();
    wake.ring();
    expect(await wake.wait(1_000, never)).toBe(true);
    const second = wake.wait(1_000, never);
    await vi.advanceTimersByTimeAsync(1_000);
    expect(await second).toBe(false);
    vi.useRealTimers();
  });

  it('answers a wait at the ring', async () => {
    const wake = createWake();
    const waiting = wake.wait(60_000, never);
    wake.ring();
    expect(await waiting).toBe(true);
  });

  it('ends when the signal does, and at once where it has', async () => {
    const stop = new AbortController();
    const waiting = createWake().wait(60_000, stop.signal);
    stop.abort();
    expect(await waiting).toBe(false);
    expect(await createWake().wait(60_000, stop.signal)).toBe(false);
  });
});
