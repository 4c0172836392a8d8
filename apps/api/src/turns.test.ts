import { expect, it } from 'vitest';
import { createTurns } from './turns.js';

it('does so much at a time, in order, and goes on after a failure', async () => {
  const turns = createTurns(2);
  const ends: (() => void)[] = [];
  const begun: number[] = [];
  const work = (n: number) =>
    turns(async () => {
      begun.push(n);
      await new Promise<void>((resolve) => ends.push(resolve));
      if (n === 0) throw new Error('broken');
      return n;
    });
  const all = Promise.allSettled([0, 1, 2, 3].map(work));
  expect(begun).toEqual([0, 1]);
  for (let i = 0; i < 4; i += 1) {
    ends[i]?.();
    await new Promise(setImmediate);
    expect(begun).toEqual([0, 1, 2, 3].slice(0, 3 + i));
  }
  expect((await all).map(({ status }) => status)).toEqual(['rejected', 'fulfilled', 'fulfilled', 'fulfilled']);
});
