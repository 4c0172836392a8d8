import { expect, test } from 'vitest';
import { createLifecycleGate } from './lifecycle-gate.js';

const createDeferred = () => {
  let resolve: () => void = () => undefined;
  const promise = new Promise<void>((r) => {
    resolve = r;
  });
  return { promise, resolve };
};

test('lets only so many in at a time, and the next one when one leaves, however it leaves', async () => {
  const gate = createLifecycleGate(2);
  const doors = Array.from({ length: 5 }, createDeferred);
  const entered: number[] = [];
  const calls = doors.map((door, i) =>
    gate.pass(async () => {
      entered.push(i);
      await door.promise;
      if (i === 0) throw new Error('left in a hurry');
    }),
  );
  const settled = Promise.allSettled(calls);
  await Promise.resolve();
  expect(entered).toEqual([0, 1]);
  doors[0]?.resolve();
  await expect(calls[0]).rejects.toThrow('left in a hurry');
  expect(entered).toEqual([0, 1, 2]);
  for (const door of doors) door.resolve();
  expect((await settled).filter((r) => r.status === 'fulfilled')).toHaveLength(4);
  expect(entered).toEqual([0, 1, 2, 3, 4]);
});
