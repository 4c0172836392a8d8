import type { Pulse } from '@berth/store';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { createLogBook } from '../test/fakes.js';
import { BEAT_MS, type SignOfLife, startSignOfLife } from './pulse.js';

beforeEach(() => {
  vi.useFakeTimers();
  ahead_ms = 0;
});
afterEach(() => void vi.useRealTimers());

/** What a broker's clock shows beside ours. */
let ahead_ms = 0;

type Answer = Partial<Pulse> & { after_ms?: number; refused?: boolean };

/** A sign of life whose beats are answered as `answer` says at that moment. */
const open = async (first: Answer = {}) => {
  const answer: { now: Answer } = { now: first };
  const silences: number[] = [];
  const book = createLogBook();
  const beat = vi.fn(async (): Promise<Pulse> => {
    const { after_ms = 0, refused = false, other_engines = 0, silent = [] } = answer.now;
    if (after_ms > 0) await new Promise((resolve) => setTimeout(resolve, after_ms));
    if (refused) throw new Error('OOM');
    return { at: Date.now() + ahead_ms, installation: 'i', other_engines, went_back_at: null, silent };
  });
  const pulse = await startSignOfLife({
    beat,
    onSilent: (steady_ms) => void silences.push(steady_ms),
    now: () => performance.now(),
    log: book.log,
  });
  return { pulse, answer, silences, beat, book };
};

const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms);
const untilSteady = async (pulse: SignOfLife) => {
  await pass(10 * BEAT_MS);
  expect(pulse.steadyFor()).toBeGreaterThanOrEqual(9 * BEAT_MS);
};

describe('a sign of life', () => {
  it('is given before anything else, then every second, until it is closed', async () => {
    const { pulse, beat } = await open();
    expect(beat).toHaveBeenCalledTimes(1);
    await pass(5 * BEAT_MS);
    expect(beat).toHaveBeenCalledTimes(6);
    pulse.close();
    await pass(5 * BEAT_MS);
    expect(beat).toHaveBeenCalledTimes(6);
  });

  it('has been taken by the broker when the worker goes on', async () => {
    let goesOn = false;
    const started = open({ after_ms: 700 }).then(({ pulse }) => {
      goesOn = true;
      pulse.close();
    });
    await pass(600);
    expect(goesOn).toBe(false);
    await pass(200);
    await started;
  });

  it('waits for the answer to the one before', async () => {
    const { pulse, answer, beat } = await open();
    answer.now = { after_ms: 4_500 };
    await pass(5 * BEAT_MS);
    expect(beat).toHaveBeenCalledTimes(2);
    await pass(BEAT_MS);
    expect(beat).toHaveBeenCalledTimes(3);
    pulse.close();
  });

  it('brings how many other machines there are', async () => {
    const { pulse, answer } = await open({ other_engines: 2 });
    expect(pulse.otherEngines).toBe(2);
    answer.now = { other_engines: 0 };
    await pass(BEAT_MS);
    expect(pulse.otherEngines).toBe(0);
    pulse.close();
  });

  it('tells of silent neighbours with each beat that names them, and how steady the broker has been', async () => {
    const { pulse, answer, silences } = await open({ silent: ['dead'] });
    expect(silences).toEqual([0]);
    await pass(2 * BEAT_MS);
    expect(silences).toEqual([0, 1_000, 2_000]);
    answer.now = {};
    await pass(2 * BEAT_MS);
    expect(silences).toHaveLength(3);
    pulse.close();
  });
});

describe('a steady broker', () => {
  it('has taken every beat promptly since', async () => {
    const { pulse } = await open();
    await pass(30 * BEAT_MS);
    expect(pulse.steadyFor()).toBe(30 * BEAT_MS);
    pulse.close();
  });

  it('is not one that answered late: the count starts with the answer', async () => {
    const { pulse, answer } = await open();
    await untilSteady(pulse);
    answer.now = { after_ms: 2_100 };
    await pass(BEAT_MS);
    answer.now = {};
    await pass(2_100);
    expect(pulse.steadyFor()).toBe(0);
    await pass(2 * BEAT_MS);
    expect(pulse.steadyFor()).toBe(2 * BEAT_MS);
    pulse.close();
  });

  it('may answer within two seconds', async () => {
    const { pulse, answer } = await open();
    answer.now = { after_ms: 1_900 };
    await pass(10 * BEAT_MS);
    expect(pulse.steadyFor()).toBe(10 * BEAT_MS);
    pulse.close();
  });

  it('is none while it does not answer at all', async () => {
    const { pulse, answer } = await open();
    await untilSteady(pulse);
    answer.now = { after_ms: 3_600_000 };
    await pass(4 * BEAT_MS + 1);
    expect(pulse.steadyFor()).toBe(0);
    pulse.close();
  });

  it('is not one that refused a beat, whatever it did before and after', async () => {
    const { pulse, answer, book } = await open();
    await untilSteady(pulse);
    answer.now = { refused: true };
    await pass(BEAT_MS);
    expect(pulse.steadyFor()).toBe(0);
    expect(book.find('did not take a sign of life')).toBe(1);
    answer.now = {};
    await pass(BEAT_MS);
    expect(pulse.steadyFor()).toBe(BEAT_MS);
    pulse.close();
  });

  it('is not known of by a process that stood still: what fell into the pause was not seen', async () => {
    const { pulse } = await open();
    await untilSteady(pulse);
    vi.setSystemTime(Date.now() + 60_000);
    const late = performance.now() + 60_000;
    vi.spyOn(performance, 'now').mockReturnValue(late);
    expect(pulse.steadyFor()).toBe(0);
    await pass(BEAT_MS);
    expect(pulse.steadyFor()).toBe(0);
    vi.restoreAllMocks();
    pulse.close();
  });

  it.each([3_600_000, -3_600_000, 5_000, -5_000])('is not one whose clock was set by %i ms', async (jump) => {
    const { pulse, answer, silences, book } = await open();
    await untilSteady(pulse);
    ahead_ms = jump;
    answer.now = { silent: ['b'] };
    await pass(BEAT_MS);
    expect([pulse.steadyFor(), silences]).toEqual([0, [0]]);
    expect(book.find("the broker's clock was set")).toBe(1);
    await pass(3 * BEAT_MS);
    expect(pulse.steadyFor()).toBe(3 * BEAT_MS);
    pulse.close();
  });

  it('may have a clock of its own that is not quite ours', async () => {
    const { pulse, book } = await open();
    for (let beats = 0; beats < 20; beats += 1) {
      ahead_ms += beats % 2 ? 900 : -900;
      await pass(BEAT_MS);
    }
    expect(pulse.steadyFor()).toBe(20 * BEAT_MS);
    expect(book.find("the broker's clock")).toBe(0);
    pulse.close();
  });

  it('is not one whose connection broke', async () => {
    const { pulse } = await open();
    await untilSteady(pulse);
    pulse.interrupted();
    expect(pulse.steadyFor()).toBe(0);
    pulse.close();
  });
});
