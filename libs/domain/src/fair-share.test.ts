import { describe, expect, it } from 'vitest';
import {
  addUse,
  learnDuration,
  NO_USE,
  type ShareLevel,
  toCharge,
  toCorrection,
  toDominantShare,
  toRank,
  toUse,
} from './fair-share.js';
import type { Reservation } from './judge.js';
import { type Bucket, listCandidates, pick, toQueueScore } from './pick.js';
import { toShapeText } from './placement.js';
import { planReservations } from './reservation.js';
import { minus, NO_RESOURCES, plus, type Resources } from './resources.js';

const HALF_LIFE_MS = 3_600_000;

describe('a level', () => {
  it('is the use, which halves in each half-life', () => {
    const level = addUse(NO_USE, 1_000, 5_000_000, HALF_LIFE_MS);
    expect(toUse(level, 5_000_000, HALF_LIFE_MS)).toBeCloseTo(1_000, 6);
    expect(toUse(level, 5_000_000 + 2 * HALF_LIFE_MS, HALF_LIFE_MS)).toBeCloseTo(250, 6);
    expect(toUse(addUse(level, 500, 5_000_000, HALF_LIFE_MS), 5_000_000, HALF_LIFE_MS)).toBeCloseTo(1_500, 6);
  });

  it('is none for whoever has given all back, and comes first', () => {
    const level = addUse(NO_USE, 1_000, 0, HALF_LIFE_MS);
    expect(addUse(level, -1_000, 0, HALF_LIFE_MS)).toBe(NO_USE);
    expect(addUse(level, -2_000, 0, HALF_LIFE_MS)).toBe(NO_USE);
    expect([toUse(NO_USE, 7, HALF_LIFE_MS), toRank(NO_USE, 5)]).toEqual([0, NO_USE]);
  });

  it('of twice the use at twice the weight ranks the same', () => {
    const [one, two] = [1_000, 2_000].map((use) => addUse(NO_USE, use, 99, HALF_LIFE_MS)) as [number, number];
    expect(toRank(two, 2)).toBeCloseTo(toRank(one, 1), 9);
  });

  it('after an end is that of the true use, however wrong the guess and however long the job', () => {
    const job = { share: 0.25, charged: 0.25 * 60_000 };
    const begun = addUse(NO_USE, job.charged, 0, HALF_LIFE_MS);
    const held_ms = 3 * HALF_LIFE_MS;
    const ended = addUse(begun, toCorrection(job, held_ms, HALF_LIFE_MS), held_ms, HALF_LIFE_MS);
    expect(toUse(ended, held_ms, HALF_LIFE_MS)).toBeCloseTo(0.25 * held_ms, 3);
  });
});

describe('a charge', () => {
  it('is by the resource that the job takes most of', () => {
    const cluster = { centicpus: 1_000, memory_mb: 1_000, gpus: 4 };
    expect(toDominantShare({ centicpus: 100, memory_mb: 300, gpus: 0 }, cluster)).toBe(0.3);
    expect(toDominantShare({ centicpus: 100, memory_mb: 300, gpus: 2 }, cluster)).toBe(0.5);
    expect(toDominantShare({ centicpus: 100, memory_mb: 300, gpus: 2 }, { ...cluster, gpus: 0 })).toBe(0.3);
  });

  it('is for as long as such jobs last, and at most for as long as this one may', () => {
    expect(toCharge(0.5, undefined, 3_600)).toBe(30_000);
    expect(toCharge(0.5, 10_000, 3_600)).toBe(5_000);
    expect(toCharge(0.5, 10_000, 4)).toBe(2_000);
    expect([learnDuration(undefined, 800), learnDuration(800, 1_600)]).toEqual([800, 900]);
  });
});

/** Jobs of one user that are all alike, with no end of them unless `count` says so. */
interface Flow {
  user: string;
  weight: number;
  ask: Resources;
  /** How long one runs, from and to. */
  lasts_ms: [number, number];
  from_ms: number;
  count?: number;
}

interface Ran {
  user: string;
  begun_ms: number;
  held_ms: number;
  share: number;
}

const TIMEOUT_SECONDS = 300;

const createDice = (seed: number) => {
  let state = seed;
  return (from: number, to: number): number => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fffffff;
    return from + (state / 0x7fffffff) * (to - from);
  };
};

type Running = Ran & { charged: number; ends_ms: number; flow: Flow };

const toShapeOf = ({ ask }: Flow) => ({ ask, timeout_seconds: TIMEOUT_SECONDS });
const toJobId = (flow: Flow, begun: number): string => `${flow.user}-${begun}`;

/** One machine in a time of its own: draws, ends, shares, and the plan that keeps it free for whoever's turn it is. */
const createVirtualMachine = (flows: Flow[], capacity: Resources) => {
  const dice = createDice(7);
  const begun = new Map<string, number>();
  const levels = new Map<string, ShareLevel>();
  const learned = new Map<string, number>();
  const running: Running[] = [];
  const ran: Ran[] = [];
  let reservation: Reservation | undefined;
  const charge = (user: string, amount: number, at: number) =>
    levels.set(user, addUse(levels.get(user) ?? NO_USE, amount, at, HALF_LIFE_MS));

  const toBucket = (flow: Flow): Bucket => {
    const shape = toShapeOf(flow);
    const job_id = toJobId(flow, begun.get(flow.user) ?? 0);
    const queue = { text: toShapeText(shape), shape, jobs: [{ job_id, score: toQueueScore(50, flow.from_ms) }] };
    return { user: flow.user, rank: toRank(levels.get(flow.user) ?? NO_USE, flow.weight), queues: [queue] };
  };
  const toSnapshot = (at: number) => {
    const has_more = (flow: Flow) => flow.from_ms <= at && (begun.get(flow.user) ?? 0) < (flow.count ?? Infinity);
    const place = { node: 'n', engine: 'e', labels: {}, region: 'default', datacenter: 'default' };
    const reserved = running.reduce((sum, { flow }) => plus(sum, flow.ask), NO_RESOURCES);
    const machine = { ...place, capacity, reserved, gpus: [], gpu_holds: [], drained: false, reservation };
    const endings = running.map(({ user, begun_ms, flow }) => {
      return { job_id: user, ask: flow.ask, gpu_holds: [], ends_at: begun_ms + TIMEOUT_SECONDS * 1_000 };
    });
    const snapshot = {
      at,
      buckets: { c: flows.filter(has_more).map(toBucket) },
      machines: [],
      quotas: {},
      tallies: {},
    };
    return { snapshot, machine: { ...machine, endings } };
  };

  const begin = (flow: Flow, at: number): void => {
    const share = toDominantShare(flow.ask, capacity);
    const charged = toCharge(share, learned.get(flow.user), TIMEOUT_SECONDS);
    const one = { user: flow.user, begun_ms: at, held_ms: dice(...flow.lasts_ms), share };
    begun.set(flow.user, (begun.get(flow.user) ?? 0) + 1);
    charge(flow.user, charged, at);
    ran.push(one);
    running.push({ ...one, charged, ends_ms: at + one.held_ms, flow });
    running.sort((a, b) => a.ends_ms - b.ends_ms);
  };

  return {
    ran,
    /** Takes the next job, if one may run. */
    draw(at: number): boolean {
      const { snapshot, machine } = toSnapshot(at);
      const found = pick(snapshot, 'c', machine);
      const flow = flows.find(({ user }) => user === found?.bucket);
      if (!found || !flow) return false;
      if (reservation?.job_id === found.job_id) reservation = undefined;
      else if (reservation && found.takes_left) reservation.left = minus(reservation.left, flow.ask);
      begin(flow, at);
      return true;
    },
    plan(at: number): void {
      const { snapshot, machine } = toSnapshot(at);
      const [first] = listCandidates(snapshot, 'c');
      reservation = first && planReservations([{ ...first, priority: 50, created_at: 0, rank: 0 }], [machine], at)[0];
    },
    /** Lets the next job end; returns when that is. */
    end(): number | undefined {
      const one = running.shift();
      if (!one) return undefined;
      learned.set(one.user, learnDuration(learned.get(one.user), one.held_ms));
      charge(one.user, toCorrection(one, one.held_ms, HALF_LIFE_MS), one.ends_ms);
      return one.ends_ms;
    },
  };
};

const runVirtually = (flows: Flow[], capacity: Resources, until_ms: number): Ran[] => {
  const machine = createVirtualMachine(flows, capacity);
  for (let at: number | undefined = 0; at !== undefined && at < until_ms; at = machine.end()) {
    while (machine.draw(at));
    machine.plan(at);
  }
  return machine.ran;
};

const CAPACITY = { centicpus: 2_000, memory_mb: 40_000, gpus: 0 };
const SMALL = { centicpus: 100, memory_mb: 500, gpus: 0 };

describe('in virtual time', () => {
  it('whoever comes after a flood of 10,000 jobs begins within one service time', () => {
    const flows: Flow[] = [
      { user: 'a', weight: 1, ask: SMALL, lasts_ms: [10_000, 60_000], from_ms: 0, count: 10_000 },
      { user: 'b', weight: 1, ask: SMALL, lasts_ms: [10_000, 60_000], from_ms: 1_000_000, count: 10 },
    ];
    const ran = runVirtually(flows, CAPACITY, 30_000_000);
    const of = (user: string) => ran.filter((one) => one.user === user);
    expect([of('a').length, of('b').length]).toEqual([10_000, 10]);
    const waits = of('b').map(({ begun_ms }) => begun_ms - 1_000_000);
    expect(Math.min(...waits)).toBeLessThanOrEqual(60_000 / 20);
    expect(Math.max(...waits)).toBeLessThanOrEqual(60_000);
  }, 60_000);

  const ODD: Resources[] = [
    SMALL,
    { centicpus: 200, memory_mb: 500, gpus: 0 },
    { centicpus: 50, memory_mb: 4_000, gpus: 0 },
  ];

  it.each([
    ['alike: of its own', [SMALL, SMALL, SMALL], 1, 'own'],
    ['of other sizes, bound by other resources, on a large machine: of its own', ODD, 5, 'own'],
    // Due to the third one are 9.09 jobs of a tenth of the machine each, and it holds 9. The others get what that leaves over, so that it is not
    // idle: they have some 7 % more than they are due, though nobody has much less. The bar is then of the whole.
    ['of other sizes, on a machine that holds few of them: of the whole', ODD, 1, 'whole'],
  ] as const)(
    'use over time is within 5 % of weights 1 : 2 : 5, jobs %s',
    (_, asks, times, bar) => {
      const weights = [1, 2, 5];
      const flows = weights.map((weight, i): Flow => {
        const lasts_ms: [number, number] = i === 1 ? [30_000, 240_000] : [20_000, 60_000];
        return { user: `u${i}`, weight, ask: asks[i] ?? SMALL, lasts_ms, from_ms: 0 };
      });
      const { centicpus, memory_mb } = CAPACITY;
      const capacity = { centicpus: centicpus * times, memory_mb: memory_mb * times, gpus: 0 };
      const half_lives = times === 1 ? 6 : 1;
      const [from, until] = [0.5 * half_lives, 1.5 * half_lives].map((n) => n * HALF_LIFE_MS) as [number, number];
      const warm = runVirtually(flows, capacity, until).filter(({ begun_ms }) => begun_ms > from);
      const used = flows.map(({ user }) =>
        warm.filter((one) => one.user === user).reduce((sum, { share, held_ms }) => sum + share * held_ms, 0),
      );
      const all = used.reduce((a, b) => a + b);
      for (const [i, weight] of weights.entries()) {
        const due = weight / 8;
        const off = Math.abs((used[i] ?? 0) / all - due);
        expect(bar === 'own' ? off / due : off, `u${i}`).toBeLessThan(0.05);
      }
      // And the machine is not kept idle for it.
      expect(all / (half_lives * HALF_LIFE_MS)).toBeGreaterThan(0.9);
    },
    60_000,
  );
});
