import { describe, expect, test } from 'vitest';
import { healthy, toHistory } from '../test/samples.js';
import { checkObserved } from './observed.js';

const check = (history: typeof healthy.history, ...states: string[]) =>
  checkObserved(
    states.map((state) => ({ job_id: 'j', state })),
    new Map([['j', history]]),
  );
const lostOnce = toHistory(
  ['claimed', 'running'],
  ['lost', 'pending'],
  ['claimed', 'running'],
  ['completed', 'completed'],
);

describe('I10', () => {
  test('holds where states come in the order of the history, some unseen and some more than once', () => {
    expect(check(healthy.history, 'pending', 'pending', 'completed', 'completed')).toEqual([]);
    expect(check(lostOnce, 'running', 'pending', 'running', 'running', 'completed')).toEqual([]);
  });

  test.each([
    [
      'a job that was shown as running after its end',
      healthy.history,
      ['completed', 'running'],
      'j was shown as running after completed, which it never was',
    ],
    [
      'a step back that never happened',
      healthy.history,
      ['running', 'pending'],
      'j was shown as pending after running, which it never was',
    ],
    [
      'one step back too many',
      lostOnce,
      ['running', 'pending', 'running', 'pending'],
      'j was shown as pending after running, which it never was',
    ],
    [
      'a state that it never had',
      healthy.history,
      ['cancelled'],
      'j was shown as cancelled after pending, which it never was',
    ],
  ])('sees %s', (_, history, states, problem) => {
    expect(check(history, ...states)).toEqual([problem]);
  });
});
