import { expect, it } from 'vitest';
import { toPause } from './supervisor.js';

it('doubles the pause up to the longest', () => {
  expect([1, 2, 3, 5, 6, 60].map((exits) => toPause(exits, [500, 10_000]))).toEqual([
    500, 1_000, 2_000, 8_000, 10_000, 10_000,
  ]);
});
