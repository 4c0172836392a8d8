import { describe, expect, it, vi } from 'vitest';
import { createRoom, LOOK_AGAIN_MS } from './room.js';

describe('waiting for room', () => {
  it('ends with a signal for all who wait, and at once for a signal that came before', async () => {
    const room = createRoom();
    const before = room.signals;
    const waits = Promise.all([room.changed(), room.changed()]);
    room.signal();
    await waits;
    await room.changed(before);
    expect(room.signals).toBe(before + 1);
  });

  it('ends by itself after a while: a notice may be lost', async () => {
    vi.useFakeTimers();
    try {
      const ended = vi.fn();
      const waiting = createRoom().changed().then(ended);
      await vi.advanceTimersByTimeAsync(LOOK_AGAIN_MS - 1);
      expect(ended).not.toHaveBeenCalled();
      await vi.advanceTimersByTimeAsync(1);
      expect(ended).toHaveBeenCalled();
      await waiting;
    } finally {
      vi.useRealTimers();
    }
  });

  it('ends, and does not begin, once the worker stops', async () => {
    const room = createRoom();
    const wait = room.changed();
    room.close();
    await expect(wait).resolves.toBeUndefined();
    await expect(room.changed()).resolves.toBeUndefined();
  });
});
