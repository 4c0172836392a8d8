import { LEASE_MARGIN_MS, LEASE_MS } from '@berth/store';
import { describe, expect, it } from 'vitest';
import { createLogBook } from '../test/fakes.js';
import { createLostJobs } from './lost-jobs.js';

const EVERY = 5_000;
const PATIENT = LEASE_MS + LEASE_MARGIN_MS;

/** Each look comes after the usual pause; an answer takes as long as it is told to. */
const open = () => {
  let now = 0;
  let answer_ms = 1;
  let looks = 0;
  const book = createLogBook();
  const lostJobs = createLostJobs({
    claims: {
      expire: async () => {
        looks += 1;
        return ['job-1'];
      },
    },
    ping: async () => {
      now += answer_ms;
    },
    now: () => now,
    every_ms: EVERY,
    log: book.log,
  });
  const tick = async (after = EVERY, answer = 1): Promise<boolean> => {
    const before = looks;
    now += after;
    answer_ms = answer;
    await lostJobs.take();
    return looks > before;
  };
  const settleIn = async () => {
    for (let past = 0; past < PATIENT; past += EVERY) await tick();
  };
  return { tick, settleIn, lostJobs, book };
};

describe('jobs of dead workers', () => {
  it('are taken away only after the broker has answered for longer than a lease', async () => {
    const { tick, book } = open();
    const judged: boolean[] = [];
    for (let i = 0; i < 6; i += 1) judged.push(await tick());
    expect(judged).toEqual([false, false, false, false, true, true]);
    expect(book.find('took jobs away')).toBe(2);
  });

  it.each<[string, (it: ReturnType<typeof open>) => Promise<boolean> | boolean]>([
    ['the broker stood still, its connections open', (it) => it.tick(EVERY, 45_000)],
    ['this process stood still', (it) => it.tick(60_000)],
    [
      'the connection broke',
      (it) => {
        it.lostJobs.interrupted();
        return it.tick();
      },
    ],
  ])('are spared for another lease after %s', async (_what, happen) => {
    const it = open();
    await it.settleIn();
    expect(await it.tick()).toBe(true);
    expect(await happen(it)).toBe(false);
    expect([await it.tick(), await it.tick(), await it.tick()]).toEqual([false, false, false]);
    await it.tick();
    expect(await it.tick()).toBe(true);
  });
});
