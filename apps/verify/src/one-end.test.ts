import { describe, expect, test } from 'vitest';
import { healthy, toHistory, toRecord } from '../test/samples.js';
import { checkAnnouncedEnds, checkOneEnd } from './one-end.js';

describe('I1', () => {
  const claimed = ['claimed', 'running', { attempt: 1, epoch: 1 }] as const;

  test('holds for a job that ended once, and for one that still runs', () => {
    expect(checkOneEnd(healthy)).toEqual([]);
    const running = toRecord({ state: 'running', finished_at: null });
    expect(checkOneEnd({ record: running, history: toHistory([...claimed]) })).toEqual([]);
  });

  test.each([
    [
      'a second end',
      toRecord(),
      [...healthy.history, { ...healthy.history[3], seq: 5 }],
      'j is completed and has 2 terminal events',
    ],
    ['no end', toRecord(), healthy.history.slice(0, 3), 'j is completed and has 0 terminal events'],
    [
      'an end of a job that runs',
      toRecord({ state: 'running' }),
      healthy.history,
      'j is running and has 1 terminal events',
    ],
    [
      'another state than its history',
      toRecord({ state: 'failed' }),
      healthy.history,
      'j is failed, but its history ends in completed',
    ],
    ['no time of its end', toRecord({ finished_at: null }), healthy.history, 'j has ended without a time of its end'],
    ['an event that is missing', toRecord(), healthy.history.toSpliced(2, 1), 'j has event 4 in place 3'],
    [
      'a step that is no edge',
      toRecord(),
      healthy.history.toSpliced(1, 2),
      'j went from pending to completed by completed',
    ],
    ['no beginning', toRecord(), healthy.history.slice(1), 'j begins with claimed'],
  ])('sees %s', (_, record, history, problem) => {
    expect(checkOneEnd({ record, history: history as typeof healthy.history })).toContain(problem);
  });

  test('sees an end that was announced twice', () => {
    const announced = ['pending', 'running', 'completed', 'completed'].map((state) => ({ job_id: 'j', state }));
    expect(checkAnnouncedEnds(announced.slice(0, 3))).toEqual([]);
    expect(checkAnnouncedEnds(announced)).toEqual(['j was announced as ended 2 times']);
  });
});
