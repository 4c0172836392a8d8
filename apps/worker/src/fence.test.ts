import { LEASE_MS } from '@berth/store';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { createLogBook, toClaim } from '../test/fakes.js';
import { FENCE_AFTER_MS, keepFence } from './fence.js';
import { createHold, type Hold } from './hold.js';
import type { Container } from './runtime/container-runtime.js';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const LOOK_MS = 1_000;

interface Options {
  jobs?: string[];
  others?: number;
  /** It has only begun. Otherwise it has been watched for long that all is well. */
  fresh?: boolean;
}

/** A fence around the given jobs, with a clock of its own beside the timers; `did` is what was done to their containers, in order. */
const open = async ({ jobs = ['a'], others = 1, fresh = false }: Options = {}) => {
  const did: string[] = [];
  const note = (what: string) => async () => void did.push(what);
  const holds = jobs.map((job_id): Hold => {
    const hold = createHold(
      toClaim({ job_id }),
      () => false,
      () => {},
    );
    hold.container = { pause: note(`pause ${job_id}`), unpause: note(`unpause ${job_id}`) } as unknown as Container;
    return hold;
  });
  const world = { now: 0, renewedAt: 0, heardAt: 0, others };
  const leases = {
    all: () => holds,
    get size() {
      return holds.length;
    },
    get renewedAt() {
      return world.renewedAt;
    },
  };
  const noted: [number, boolean][] = [];
  const book = createLogBook();
  const fence = keepFence({
    leases: leases as unknown as Parameters<typeof keepFence>[0]['leases'],
    pulse: {
      get otherEngines() {
        return world.others;
      },
      heardFor: () => world.now - world.heardAt,
    },
    noteLease: (good_for_ms, exclusive) => void noted.push([good_for_ms, exclusive]),
    now: () => world.now,
    log: book.log,
  });
  const passBy = async (ms: number) => {
    for (let past = 0; past < ms; past += LOOK_MS) {
      world.now += Math.min(LOOK_MS, ms - past);
      await vi.advanceTimersByTimeAsync(LOOK_MS);
    }
  };
  const renew = () => {
    world.renewedAt = world.now;
    world.heardAt = world.now;
  };
  /** All is well for a while: what is done to the containers meanwhile. After it nothing more is. */
  const wakeUp = async (): Promise<string[]> => {
    const before = did.length;
    for (let i = 0; i < 15; i += 1) {
      renew();
      await passBy(LOOK_MS);
    }
    const woken = did.slice(before);
    expect(woken.filter((what) => what === woken[0]).length).toBeLessThan(13);
    return woken;
  };
  for (let i = 0; i < 15 && !fresh; i += 1) {
    renew();
    await passBy(LOOK_MS);
  }
  if (!fresh) renew();
  if (!fresh) did.length = 0;
  return { fence, did, holds, world, noted, book, passBy, renew, wakeUp };
};

describe('a worker that cannot renew', () => {
  it('stands its containers still in time, and each once: a neighbour that has taken one over unpauses it', async () => {
    const { fence, did, passBy, book } = await open({ jobs: ['a', 'b'] });
    await passBy(FENCE_AFTER_MS);
    expect(did).toEqual([]);
    await passBy(LOOK_MS);
    expect(did).toEqual(['pause a', 'pause b']);
    await passBy(5 * LOOK_MS);
    expect(did).toEqual(['pause a', 'pause b']);
    expect(book.find('could not renew its leases')).toBe(1);
    fence.close();
  });

  it('does so with what it is about to run, and again in the next doubt', async () => {
    const { fence, did, passBy, holds, wakeUp } = await open();
    const { container } = holds[0] as Hold;
    (holds[0] as Hold).container = undefined;
    await passBy(FENCE_AFTER_MS + 2 * LOOK_MS);
    expect(did).toEqual([]);
    (holds[0] as Hold).container = container;
    await passBy(2 * LOOK_MS);
    expect(did).toEqual(['pause a']);
    await wakeUp();
    await passBy(FENCE_AFTER_MS + LOOK_MS);
    expect(did.filter((what) => what === 'pause a')).toHaveLength(2);
    expect(did.at(-1)).toBe('pause a');
    const until = did.length;
    fence.close();
    await passBy(60_000);
    expect(did).toHaveLength(until);
  });

  it('tries again each second where the engine does not', async () => {
    const { fence, holds, passBy, book } = await open();
    let tries = 0;
    const pause = async () => {
      tries += 1;
      if (tries < 3) throw new Error('away');
    };
    (holds[0] as Hold).container = { pause } as unknown as Container;
    await passBy(FENCE_AFTER_MS + 6 * LOOK_MS);
    expect([tries, book.find('could not pause a container')]).toEqual([3, 2]);
    fence.close();
  });

  it('does so well before others may claim its jobs', () => {
    expect(FENCE_AFTER_MS).toBe(15_000);
    expect(FENCE_AFTER_MS + 2 * LOOK_MS).toBeLessThan(LEASE_MS);
  });

  it('lets them run where it is the only machine: nobody else could claim', async () => {
    const { fence, did, passBy, renew } = await open({ others: 0 });
    await passBy(120_000);
    expect(did).toEqual([]);
    renew();
    await passBy(LOOK_MS);
    expect(did).toEqual(['unpause a']);
    fence.close();
  });

  it('goes on with what is held still, and with nothing else', async () => {
    const { fence, did, passBy, renew, holds, wakeUp } = await open({
      jobs: ['held', 'moved', 'over', 'let go', 'cancelled'],
    });
    await passBy(FENCE_AFTER_MS + LOOK_MS);
    did.length = 0;
    holds[1]?.leaveIt('moved');
    holds[2]?.ask('over');
    holds[3]?.leaveIt('let_go');
    holds[4]?.ask('cancel');
    renew();
    await passBy(LOOK_MS);
    expect(did).toEqual(['unpause held', 'unpause cancelled']);
    expect(new Set(await wakeUp())).toEqual(new Set(['unpause held', 'unpause cancelled']));
    fence.close();
  });

  it('and holds nothing vouches for the machine only while the broker hears it: a neighbour may be dead', async () => {
    const { fence, noted, passBy, world, book } = await open({ jobs: [] });
    world.heardAt = world.now;
    await passBy(LOOK_MS);
    expect(noted.at(-1)).toEqual([LEASE_MS - LOOK_MS, true]);
    await passBy(60_000);
    expect(noted.at(-1)?.[0]).toBeGreaterThanOrEqual(LEASE_MS - FENCE_AFTER_MS);
    const before = noted.length;
    await passBy(10_000);
    expect(noted.length).toBe(before);
    expect(book.find('could not renew')).toBe(0);
    fence.close();
  });
});

describe('a worker that begins', () => {
  it('unpauses for a while what it takes over: a reaper may still go by an old note', async () => {
    const { fence, did, wakeUp } = await open({ fresh: true });
    expect(did).toEqual(['unpause a']);
    expect((await wakeUp()).length).toBeGreaterThan(9);
    fence.close();
  });
});

describe('a process that stood still', () => {
  it('unpauses what it holds, since the reaper may have paused it, though it never doubted by itself', async () => {
    const { fence, did, world, passBy, renew, wakeUp } = await open();
    await passBy(2 * LOOK_MS);
    expect(did).toEqual([]);
    world.now += FENCE_AFTER_MS;
    renew();
    await passBy(LOOK_MS);
    expect(did).toEqual(['unpause a']);
    await wakeUp();
    fence.close();
  });

  it('and has not renewed since holds them still until it has', async () => {
    const { fence, did, world, passBy, renew } = await open();
    world.now += 60_000;
    await passBy(LOOK_MS);
    expect(did).toEqual(['pause a']);
    renew();
    await passBy(LOOK_MS);
    expect(did).toEqual(['pause a', 'unpause a']);
    fence.close();
  });
});

describe('the note for the reaper', () => {
  it('is for how long the leases are good, at once and with each look, and is not drawn out in doubt', async () => {
    const { fence, noted, passBy, world, renew } = await open({ fresh: true });
    expect(noted).toEqual([[LEASE_MS, true]]);
    await passBy(2 * LOOK_MS);
    expect(noted.slice(1)).toEqual([
      [LEASE_MS - 1_000, true],
      [LEASE_MS - 2_000, true],
    ]);
    world.others = 0;
    renew();
    await passBy(FENCE_AFTER_MS);
    expect(noted.at(-1)).toEqual([LEASE_MS - FENCE_AFTER_MS, false]);
    const before = noted.length;
    await passBy(10 * LOOK_MS);
    expect(noted).toHaveLength(before);
    fence.close();
  });
});
