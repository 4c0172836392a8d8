import { describe, expect, test } from 'vitest';
import { toRecord } from '../test/samples.js';
import { checkLedger } from './ledger.js';

const spec = { labels: { ledger: 'yes' }, max_attempts: 3 };
const check = (epochs: number[], more: Parameters<typeof toRecord>[0] = {}, faultFree = false) =>
  checkLedger(
    epochs.map((epoch) => ({ job_id: 'j', epoch })),
    new Map([['j', toRecord({ ...more, spec } as never)]]),
    faultFree,
  );

describe('I5', () => {
  test('holds for one side effect an epoch, and for an epoch that never started', () => {
    expect(check([1], {}, true)).toEqual([]);
    expect(check([1, 3], { epoch: 3 })).toEqual([]);
    expect(check([1, 2], { epoch: 2, attempt: 2 }, true)).toEqual([]);
  });

  test.each([
    ['a doubled one', [1, 1], {}, false, 'j had the side effect of epoch 1 2 times'],
    ['one of an unknown epoch', [1, 2], {}, false, 'j had a side effect in epoch 2, and only 1 epochs'],
    [
      'a completed job without one',
      [1],
      { epoch: 2 },
      false,
      'j completed in epoch 2 without a side effect of that epoch',
    ],
    ['a restart without a fault', [1, 2], { epoch: 2 }, true, 'j had 2 side effects in 1 attempts, and no fault'],
  ])('sees %s', (_, epochs, more, faultFree, problem) => {
    expect(check(epochs, more, faultFree)).toContain(problem);
  });

  test('sees one of a job that is not there', () => {
    expect(checkLedger([{ job_id: 'k', epoch: 1 }], new Map(), false)).toEqual([
      'k had a side effect and is not there',
    ]);
  });
});
