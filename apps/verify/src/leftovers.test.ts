import { expect, test } from 'vitest';
import { checkLeftovers } from './leftovers.js';

test('I8 names everything that is left', () => {
  expect(checkLeftovers({ containers: [], leases: [], queued: [], waiting: [], counted: [] })).toEqual([]);
  expect(
    checkLeftovers({
      containers: ['berth-a-e1'],
      leases: ['a'],
      queued: ['b'],
      waiting: ['c'],
      counted: ['user/x|running 1'],
    }),
  ).toEqual([
    'container berth-a-e1 is left',
    'a still has a lease',
    'b is still in a queue',
    'c still waits for a time to come',
    'user/x|running 1 is still counted',
  ]);
});
