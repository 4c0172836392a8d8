import { describe, expect, test } from 'vitest';
import { healthy, toHistory, toRecord } from '../test/samples.js';
import { checkAttempts } from './attempts.js';

type Entries = Parameters<typeof toRecord>[0];
const entries = (...of: [attempt: number, epoch: number][]) =>
  ({ attempts: of.map(([attempt, epoch]) => ({ attempt, epoch })) }) as unknown as Entries;

const claim = (attempt: number, epoch: number) => ['claimed', 'running', { attempt, epoch }] as const;
const end = (type: 'completed' | 'lost' | 'retried' | 'released', epoch: number, cause?: string) =>
  [type, type === 'completed' ? 'completed' : 'pending', { epoch, ...(cause ? { cause } : {}) }] as const;
const history = (...steps: (ReturnType<typeof claim> | ReturnType<typeof end>)[]) =>
  toHistory(...steps.map(([type, state, data]) => [type, state, data] as Parameters<typeof toHistory>[0]));

const lostOnce = history(claim(1, 1), end('lost', 1, 'node_lost'), claim(1, 2), end('completed', 2));

describe('I6', () => {
  test('holds where a loss is no attempt, a retry is one, and what was given back is not listed', () => {
    expect(checkAttempts(healthy)).toEqual([]);
    expect(checkAttempts({ record: toRecord({ epoch: 2, ...entries([1, 1], [1, 2]) }), history: lostOnce })).toEqual(
      [],
    );
    const retried = history(claim(1, 1), end('retried', 1, 'exit_code'), claim(2, 2), end('completed', 2));
    expect(
      checkAttempts({ record: toRecord({ epoch: 2, attempt: 2, ...entries([1, 1], [2, 2]) }), history: retried }),
    ).toEqual([]);
    const released = history(claim(1, 1), end('released', 1), claim(1, 2), end('completed', 2));
    expect(checkAttempts({ record: toRecord({ epoch: 2, ...entries([1, 2]) }), history: released })).toEqual([]);
  });

  test.each([
    [
      'a loss that used up an attempt',
      { epoch: 2, attempt: 2, ...entries([1, 1], [1, 2]) },
      lostOnce,
      'j is in attempt 2 after 0 retries',
    ],
    [
      'a retry for a fault of the platform',
      { epoch: 2, attempt: 2, ...entries([1, 1], [2, 2]) },
      history(claim(1, 1), end('retried', 1, 'node_lost'), claim(2, 2), end('completed', 2)),
      'j used up an attempt by node_lost',
    ],
    ['an epoch too many', { epoch: 3, ...entries([1, 1], [1, 2]) }, lostOnce, 'j is in epoch 3 after 2 claims'],
    [
      'an epoch that was handed out twice',
      { epoch: 2, ...entries([1, 1], [1, 1]) },
      history(claim(1, 1), end('lost', 1), claim(1, 1), end('completed', 1)),
      'j was claimed in epoch 1 where 2 was next',
    ],
    [
      'an end that is not listed',
      { epoch: 2, ...entries([1, 2]) },
      lostOnce,
      'j lists the ends of epochs 2; its history has those of 1, 2',
    ],
    [
      'more attempts than were allowed',
      { epoch: 2, attempt: 2, ...entries([1, 1], [2, 2]), spec: { labels: {}, max_attempts: 1 } as never },
      history(claim(1, 1), end('retried', 1, 'exit_code'), claim(2, 2), end('completed', 2)),
      'j is in attempt 2 of at most 1',
    ],
  ])('sees %s', (_, record, events, problem) => {
    expect(checkAttempts({ record: toRecord(record), history: events })).toContain(problem);
  });
});
