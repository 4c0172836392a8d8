import { pino } from 'pino';
import { expect, it, onTestFinished, vi } from 'vitest';
import { startForgettingArrays } from './forget-arrays.js';

it('arrays whose time is up go in batches until none is left, and never in two passes at a time', async () => {
  vi.useFakeTimers();
  onTestFinished(() => void vi.useRealTimers());
  const replies = [200, 200, 3];
  const asked: number[] = [];
  let goOn = () => {};
  const waiting = new Promise<void>((resolve) => {
    goOn = resolve;
  });
  const forgetArrays = async (before: number): Promise<number> => {
    asked.push(before);
    await waiting;
    return replies.shift() ?? 0;
  };
  const log = pino({ level: 'silent' });
  const forgetting = startForgettingArrays({
    retention: { forgetArrays },
    retentionSeconds: 60,
    now: () => 100_000,
    log,
  });
  vi.advanceTimersByTime(180_000);
  expect(asked).toEqual([40_000]);
  const closing = forgetting.close();
  goOn();
  await closing;
  expect(asked).toEqual([40_000, 40_000, 40_000]);
});
