import { AppError } from '@berth/domain';
import type { BrokerState } from '@berth/store';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { PERIOD_MS, startAdmission } from './admission.js';
import type { Refusal } from './refusals.js';

const good: BrokerState = {
  used_memory_bytes: 1,
  max_memory_bytes: 0,
  eviction_policy: null,
  append_failed: false,
  snapshot_failed: false,
};

/** A broker that the test plays: what it says of itself, and for each class the job that it finds waiting. */
const open = () => {
  const broker = {
    state: good,
    away: false,
    went_back: null as string | null,
    stuck: [null, null] as (string | null)[],
  };
  const asked = { looks: 0, seen: [] as (string | null)[] };
  const seen: (readonly Refusal[])[] = [];
  const admission = startAdmission({
    readBrokerState: async () => {
      asked.looks += 1;
      if (broker.away) throw new Error('Connection is closed.');
      return broker.state;
    },
    findWentBack: async () => broker.went_back,
    findStuck: async (_classes, _window, before) => {
      asked.seen = before;
      return broker.stuck;
    },
    readDisk: async () => undefined,
    classes: ['small', 'large'],
    window: 10,
    onLook: (refusals) => seen.push(refusals),
    log: pino({ level: 'silent' }),
  });
  onTestFinished(() => admission.close());
  const admit = () => admission.admit().catch((error: Error) => error);
  return { admission, broker, asked, seen, admit };
};

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

/** What the looks find in between. */
const looks = (count: number) => vi.advanceTimersByTimeAsync(count * PERIOD_MS);

describe('admission', () => {
  it('looks by the clock, however many ask', async () => {
    const { admit, asked } = open();
    await Promise.all(Array.from({ length: 100 }, admit));
    expect(asked.looks).toBe(1);
    await looks(3);
    await Promise.all(Array.from({ length: 100 }, admit));
    expect(asked.looks).toBe(4);
  });

  it('refuses with every reason and what to do, and accepts again', async () => {
    const { admission, admit, broker, seen } = open();
    expect(await admit()).toBeUndefined();
    broker.state = { ...good, append_failed: true, eviction_policy: 'allkeys-lru' };
    await looks(1);
    const error = (await admit()) as AppError;
    expect(error).toBeInstanceOf(AppError);
    expect(error).toMatchObject({
      code: 'unavailable',
      message: expect.stringMatching(/^No jobs are accepted now\. .*allkeys-lru.*append-only file/),
      details: { reasons: ['eviction_policy', 'persistence'], retry_after_seconds: 10 },
    });
    expect(admission.refusals.map(({ reason }) => reason)).toEqual(['eviction_policy', 'persistence']);
    broker.state = good;
    await looks(1);
    expect(await admit()).toBeUndefined();
    expect(seen.map((refusals) => refusals.length)).toEqual([0, 2, 0]);
  });

  it('refuses while the broker is known to have gone back', async () => {
    const { admit, broker } = open();
    broker.went_back = 'It has gone back.';
    await looks(1);
    expect(await admit()).toMatchObject({
      message: expect.stringContaining('gone back'),
      details: { reasons: ['went_back'] },
    });
    broker.went_back = null;
    await looks(1);
    expect(await admit()).toBeUndefined();
  });

  it('trusts a look for five seconds while the broker is away, then looks before it answers', async () => {
    const { admit, broker } = open();
    await admit();
    broker.away = true;
    await looks(7);
    expect(await admit()).toBeUndefined();
    await looks(1);
    expect(await admit()).toEqual(new Error('Connection is closed.'));
    broker.away = false;
    expect(await admit()).toBeUndefined();
  });

  it('refuses once the same job has been kept waiting for more than ten seconds, and asks for that one', async () => {
    const { admit, asked, broker } = open();
    broker.stuck = [null, 'a'];
    await looks(15);
    expect(asked.seen).toEqual([null, 'a']);
    expect(await admit()).toBeUndefined();
    await looks(1);
    expect(await admit()).toMatchObject({ details: { reasons: ['outbox'] } });
    broker.stuck = [null, 'b'];
    await looks(1);
    expect(await admit()).toMatchObject({ details: { reasons: ['outbox'] } });
    await looks(1);
    expect(await admit()).toBeUndefined();
  });

  it('is not misled by a look that finds the job in the hands of a relay which cannot get rid of it', async () => {
    const { admit, broker } = open();
    for (let look = 0; look < 20; look += 1) {
      broker.stuck = [null, look % 2 === 0 ? 'a' : null];
      await looks(1);
    }
    expect(await admit()).toMatchObject({ details: { reasons: ['outbox'] } });
  });

  it('does not mind a backlog that moves, or one whose class is full at times', async () => {
    const { admit, broker } = open();
    for (let look = 0; look < 45; look += 1) {
      broker.stuck = [`job-${look}`, look % 9 < 2 ? null : 'same'];
      await looks(1);
      expect(await admit()).toBeUndefined();
    }
  });
});
