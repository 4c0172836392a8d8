import { expect, it } from 'vitest';
import { createDeadlineClock } from './deadline-clock.js';

const HOUR = 3_600_000;

const open = () => {
  const time = { wall: 1_800_000_000_000, steady: 5_000 };
  const clock = createDeadlineClock({ wall: () => time.wall, steady: () => time.steady });
  const pass = (ms: number) => {
    time.wall += ms;
    time.steady += ms;
  };
  return { time, clock, pass };
};

it.each([HOUR, -HOUR])('counts on for what it knows when the clock is set by %i ms, and says so once', (jump) => {
  const { time, clock, pass } = open();
  expect(clock.look(['a'])).toBe(false);
  const begun = clock.now('a');
  time.wall += jump;
  pass(7_000);
  expect([clock.look(['a']), clock.now('a') - begun]).toEqual([true, 7_000]);
  expect([clock.look(['a']), clock.now('a') - begun]).toEqual([false, 7_000]);
});

it.each([HOUR, -HOUR])('of what it sees first right after that, by %i ms, takes the earlier time', (jump) => {
  const { time, clock } = open();
  const before = time.wall;
  time.wall += jump;
  clock.look(['b']);
  expect(clock.now('b')).toBe(Math.min(before, time.wall));
  clock.look(['b', 'c']);
  expect(clock.now('c')).toBe(time.wall);
});

it('knows nothing of what is gone', () => {
  const { time, clock } = open();
  clock.look(['a', 'b']);
  const begun = [clock.now('a'), clock.now('b')];
  clock.look(['b']);
  time.wall += HOUR;
  clock.look(['b']);
  clock.look(['a', 'b']);
  expect([clock.now('a') - time.wall, clock.now('b')]).toEqual([0, begun[1]]);
});
