import { describe, expect, it } from 'vitest';
import { createRoom, FORGOTTEN_MS, PATIENCE_MS } from './room.js';

/** A room on a clock that only the test moves; `refuse` is what a waiting class meets every second. */
const openRoom = () => {
  let now = 1_000;
  const room = createRoom(() => now);
  const pass = (ms: number) => {
    now += ms;
  };
  const refuse = (className: string, ms: number) => {
    for (let past = 0; past <= ms; past += 1_000) {
      room.refused(className);
      pass(1_000);
    }
  };
  return { room, pass, refuse };
};

describe("a class's turn", () => {
  it('is everybody’s as long as nobody has waited too long', () => {
    const { room, refuse } = openRoom();
    refuse('large', PATIENCE_MS - 1_000);
    expect([room.isTurnOf('large'), room.isTurnOf('small')]).toEqual([true, true]);
  });

  it('is that of the one that has waited too long alone, until it gets its job', () => {
    const { room, refuse } = openRoom();
    refuse('large', PATIENCE_MS + 1_000);
    expect([room.isTurnOf('large'), room.isTurnOf('small')]).toEqual([true, false]);
    room.claimed('large');
    expect(room.isTurnOf('small')).toBe(true);
  });

  it('passes on when it is not refused again: its message went to another machine', () => {
    const { room, refuse, pass } = openRoom();
    refuse('large', PATIENCE_MS + 1_000);
    pass(FORGOTTEN_MS);
    expect(room.isTurnOf('small')).toBe(true);
    room.refused('large');
    expect(room.isTurnOf('small')).toBe(true);
  });

  it('is one class’s at a time', () => {
    const { room } = openRoom();
    const two = openRoom();
    for (let past = 0; past <= PATIENCE_MS + 1_000; past += 1_000) {
      two.room.refused('large');
      two.room.refused('medium');
      two.pass(1_000);
    }
    expect([two.room.isTurnOf('large'), two.room.isTurnOf('medium')]).toEqual([true, false]);
    two.room.claimed('large');
    expect([two.room.isTurnOf('large'), two.room.isTurnOf('medium')]).toEqual([false, true]);
    expect(room.isTurnOf('small')).toBe(true);
  });

  it('is everybody’s once the worker stops', () => {
    const { room, refuse } = openRoom();
    refuse('large', PATIENCE_MS + 1_000);
    room.close();
    expect(room.isTurnOf('small')).toBe(true);
  });
});

describe('waiting for room', () => {
  it('ends with a signal for all who wait, and at once for a signal that came before', async () => {
    const { room } = openRoom();
    const before = room.signals;
    const waits = Promise.all([room.changed(), room.changed()]);
    room.signal();
    await waits;
    await room.changed(before);
  });

  it('ends, and does not begin, once the worker stops', async () => {
    const { room } = openRoom();
    const wait = room.changed();
    room.close();
    await wait;
    await room.changed();
  });
});
