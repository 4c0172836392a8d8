import { expect, test } from 'vitest';
import { createJobId, isJobId } from './job-id.js';

const MANY = 2_000;

test('ids of one millisecond are all different, are ids, and sort in the order they were made', () => {
  const ids = Array.from({ length: MANY }, () => createJobId(1_763_800_000_000));
  expect(ids.every(isJobId)).toBe(true);
  expect(new Set(ids).size).toBe(MANY);
  expect([...ids].sort()).toEqual(ids);
});

test('ids of later milliseconds sort after those of earlier ones', () => {
  const ids = Array.from({ length: MANY }, (_, i) => createJobId(1_763_800_000_000 + i));
  expect([...ids].sort()).toEqual(ids);
});

test('the random part is not the same twice, also when the stock of random bytes is filled again', () => {
  const tails = Array.from({ length: MANY }, (_, i) => createJobId(i).slice(19));
  expect(new Set(tails).size).toBe(MANY);
});

test('version and variant are those of a UUIDv7', () => {
  expect(createJobId(Date.now())).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
});
