import { expect, it } from 'vitest';
import { createLogBook } from '../test/fakes.js';
import { createPastGate } from './past-gate.js';

const open = () => {
  const book = createLogBook();
  const changes: boolean[] = [];
  const gate = createPastGate('berth:went_back', (shut) => changes.push(shut), book.log);
  let passed = 0;
  const tryIt = async () => {
    void gate.passed().then(() => {
      passed += 1;
    });
    await new Promise((resolve) => setImmediate(resolve));
    return passed;
  };
  return { gate, book, changes, tryIt };
};

it('is shut from the first word of a broker that has gone back, says so once, and opens when a person has seen to it', async () => {
  const { gate, book, changes, tryIt } = open();
  expect([await tryIt(), gate.problem]).toEqual([1, undefined]);
  gate.heard(Date.UTC(2026, 10, 22));
  gate.heard(Date.UTC(2026, 10, 22));
  expect(await tryIt()).toBe(1);
  expect(gate.problem).toMatch(/gone back .* at 2026-11-22T00:00:00.000Z: .*`redis-cli del berth:went_back`/);
  expect(book.find('no more jobs are started. Redis has gone back')).toBe(1);
  gate.heard(null);
  expect([await tryIt(), gate.problem]).toEqual([3, undefined]);
  gate.heard(null);
  expect(book.find('jobs are started again')).toBe(1);
  expect(changes).toEqual([false, true, false]);
});

it('holds nobody up once it is closed', async () => {
  const { gate, tryIt } = open();
  gate.heard(1);
  expect(await tryIt()).toBe(0);
  gate.close();
  expect(await tryIt()).toBe(2);
  gate.heard(2);
  expect(await tryIt()).toBe(3);
});
