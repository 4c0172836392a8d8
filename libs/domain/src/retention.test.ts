import { expect, it } from 'vitest';
import { retentionSchema, toKeepSeconds, toMostKeepSeconds } from './retention.js';

const book = retentionSchema.parse({
  default: { artifacts_seconds: 1_000 },
  classes: { gpu: { artifacts_seconds: 2_000, logs_seconds: 2_500 } },
  users: { alice: { artifacts_seconds: 3_000 } },
});

it('the most specific word counts, each kind apart', () => {
  const read = (user: string, name: string, what: 'artifacts' | 'logs') =>
    toKeepSeconds(book, what, { user, class: name }, 60);
  expect(read('bob', 'small', 'artifacts')).toBe(1_000);
  expect(read('bob', 'gpu', 'artifacts')).toBe(2_000);
  expect(read('alice', 'gpu', 'artifacts')).toBe(3_000);
  expect(read('alice', 'gpu', 'logs')).toBe(2_500);
  expect(read('alice', 'small', 'logs')).toBe(60);
  expect(read('constructor', '__proto__', 'artifacts')).toBe(1_000);
});

it('the most is of all of them', () => {
  expect(toMostKeepSeconds(book, 'artifacts', 60)).toBe(3_000);
  expect(toMostKeepSeconds(book, 'logs', 60)).toBe(2_500);
  expect(toMostKeepSeconds(book, 'logs', 9_000)).toBe(9_000);
  expect(toMostKeepSeconds({}, 'logs', 9_000)).toBe(9_000);
});
