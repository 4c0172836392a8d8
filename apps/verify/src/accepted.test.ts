import { expect, test } from 'vitest';
import { checkAccepted } from './accepted.js';

const jobs = new Map([
  ['a', { state: 'completed' as const }],
  ['b', { state: 'running' as const }],
]);

test('I2 sees an accepted job that is lost, and at rest one that has not ended', () => {
  expect(checkAccepted(['a', 'b', 'a'], jobs, false)).toEqual([]);
  expect(checkAccepted(['a', 'b', 'c'], jobs, true)).toEqual([
    'b was accepted and is still running',
    'c was accepted and is not there',
  ]);
});
