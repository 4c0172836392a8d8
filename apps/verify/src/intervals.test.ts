import { describe, expect, test } from 'vitest';
import { toEvents } from '../test/samples.js';
import { checkIntervals } from './intervals.js';

describe('I4', () => {
  test('holds where one container ends before the next starts', () => {
    expect(
      checkIntervals(toEvents(['start', 1, 1], ['die', 5, 1], ['destroy', 6, 1], ['start', 6, 2], ['die', 9, 2])),
    ).toEqual([]);
  });

  test('holds where the older one stands still', () => {
    const paused = toEvents(['start', 1, 1], ['pause', 5, 1], ['start', 6, 2], ['die', 9, 2], ['destroy', 10, 1]);
    expect(checkIntervals(paused)).toEqual([]);
  });

  test('holds where the older one is thawed to die', () => {
    for (const [killed, thawed] of [
      [7, 8],
      [8, 7],
    ] as const) {
      const older = toEvents(
        ['start', 1, 1],
        ['pause', 5, 1],
        ['kill', killed, 1],
        ['unpause', thawed, 1],
        ['die', 9, 1],
      );
      expect(checkIntervals([...older, ...toEvents(['start', 6, 2], ['die', 10, 2])])).toEqual([]);
    }
  });

  test('does not care in which order two engines were heard', () => {
    expect(checkIntervals(toEvents(['start', 6, 2], ['die', 9, 2], ['start', 1, 1], ['die', 5, 1]))).toEqual([]);
  });

  test.each([
    [
      'two at a time',
      toEvents(['start', 1, 1], ['start', 40, 2], ['die', 50, 1], ['die', 90, 2]),
      'j ran in epochs 1 and 2 at a time, for 10 ms',
    ],
    [
      'one within another',
      toEvents(['start', 1, 1], ['start', 4, 2], ['die', 6, 2], ['die', 9, 1]),
      'j ran in epochs 1 and 2 at a time, for 2 ms',
    ],
    [
      'one that woke up again',
      toEvents(['start', 1, 1], ['pause', 5, 1], ['start', 9, 2], ['unpause', 20, 1]),
      'j ran in epochs 2 and 1 at a time, to this moment',
    ],
    [
      'one that woke up and was killed for it',
      toEvents(
        ['start', 1, 1],
        ['pause', 5, 1],
        ['start', 9, 2],
        ['unpause', 20, 1],
        ['kill', 590, 1],
        ['die', 591, 1],
      ),
      'j ran in epochs 2 and 1 at a time, for 571 ms',
    ],
    [
      'two that still run',
      toEvents(['start', 1, 1], ['start', 40, 2]),
      'j ran in epochs 1 and 2 at a time, to this moment',
    ],
    [
      'a second start',
      toEvents(['start', 1, 1], ['die', 2, 1], ['start', 5, 1], ['die', 7, 1]),
      'j container container-1 was started 2 times',
    ],
  ])('sees %s', (_, events, problem) => {
    expect(checkIntervals(events)).toEqual([problem]);
  });
});
