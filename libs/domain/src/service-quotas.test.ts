import { describe, expect, it } from 'vitest';
import { addUse, NO_USE, type ShareLevel } from './fair-share.js';
import type { MachineView } from './judge.js';
import { type Bucket, pick } from './pick.js';
import { NO_TALLY, type Quota, type Tally, toGroups, toQuotaGroup, toQuotaTarget, toServiceGroups } from './quota.js';

const HALF_LIFE_MS = 3_600_000;
const ASK = { centicpus: 100, memory_mb: 10, gpus: 0 };

const machine: MachineView = {
  ...{ node: 'n', engine: 'e', labels: {}, region: 'default', datacenter: 'default', gpus: [], gpu_holds: [] },
  capacity: { centicpus: 100_000, memory_mb: 100_000, gpus: 0 },
  reserved: { centicpus: 0, memory_mb: 0, gpus: 0 },
  drained: false,
};

interface Waiting {
  id: string;
  user: string;
  service: string;
}

/** A pool of jobs of the job orchestrator's services on a machine that has room for all of them: only quotas and turns decide. */
const createPool = (limits: Record<string, { per_user: number; most?: number }>) => {
  const quotas: Record<string, Quota> = {};
  for (const [service, { per_user, most }] of Object.entries(limits)) {
    quotas[`user/*/service/${service}`] = { max_running: per_user };
    if (most !== undefined) quotas[`service/${service}`] = { max_running: most };
  }
  const tallies: Record<string, Tally> = {};
  const levels = new Map<string, ShareLevel>();
  let waiting: Waiting[] = [];
  let made = 0;

  const groupsOf = ({ user, service }: Waiting) => toGroups(user, 'c', toServiceGroups(service, user));
  const count = (job: Waiting, running: number): void => {
    for (const group of groupsOf(job)) {
      const tally = tallies[group] ?? NO_TALLY;
      tallies[group] = { ...tally, running: tally.running + running };
    }
  };
  const toBuckets = (): Bucket[] =>
    [...new Set(waiting.map(({ user }) => user))].map((user) => ({
      user,
      rank: levels.get(user) ?? NO_USE,
      queues: [...new Set(waiting.filter((one) => one.user === user).map(({ service }) => service))].map((service) => ({
        text: service,
        shape: { ask: ASK, timeout_seconds: 60, groups: toServiceGroups(service, user) },
        jobs: waiting
          .filter((one) => one.user === user && one.service === service)
          .map(({ id }) => ({ job_id: id, score: Number(id) })),
      })),
    }));

  return {
    submit(user: string, service: string, amount: number): void {
      for (let i = 0; i < amount; i += 1) waiting.push({ id: String(++made), user, service });
    },
    /** All that may run now, in the order in which it begins. */
    runAll(): Waiting[] {
      const begun: Waiting[] = [];
      for (;;) {
        const found = pick({ at: 0, buckets: { c: toBuckets() }, machines: [machine], quotas, tallies }, 'c', machine);
        const job = waiting.find(({ id }) => id === found?.job_id);
        if (!job) return begun;
        waiting = waiting.filter((one) => one !== job);
        count(job, 1);
        levels.set(job.user, addUse(levels.get(job.user) ?? NO_USE, 1_000, 0, HALF_LIFE_MS));
        begun.push(job);
      }
    },
    end: (job: Waiting | undefined) => job && count(job, -1),
    waiting: () => waiting.map(({ id }) => id),
  };
};

/** The examples of the job orchestrator's documentation; `libs/store/test/quotas.test.ts` has the same with the scripts. */
describe('the quotas of the job orchestrator', () => {
  it('run 5 of a user’s 10 jobs, keep the others queued, and follow with the 6th when the 1st ends', () => {
    const pool = createPool({ example: { per_user: 5 } });
    pool.submit('1', 'example', 10);
    const begun = pool.runAll();
    expect(begun.map(({ id }) => id)).toEqual(['1', '2', '3', '4', '5']);
    expect(pool.waiting()).toEqual(['6', '7', '8', '9', '10']);
    pool.end(begun[0]);
    expect(pool.runAll().map(({ id }) => id)).toEqual(['6']);
  });

  it('count for each user and each service by itself', () => {
    const pool = createPool({ example: { per_user: 5 }, haddock: { per_user: 3 } });
    for (const [user, service] of [
      ['1', 'example'],
      ['1', 'haddock'],
      ['2', 'example'],
    ] as const)
      pool.submit(user, service, 9);
    const begun = pool.runAll().map(({ user, service }) => `${user} ${service}`);
    const counts = Object.fromEntries(
      [...new Set(begun)].map((one) => [one, begun.filter((other) => other === one).length]),
    );
    expect(counts).toEqual({ '1 example': 5, '1 haddock': 3, '2 example': 5 });
  });

  it('let users take turns within what a service may run, also those who come late', () => {
    const pool = createPool({ example: { per_user: 5, most: 6 } });
    pool.submit('1', 'example', 8);
    pool.submit('2', 'example', 8);
    const begun = pool.runAll();
    expect(begun.map(({ user }) => user)).toEqual(['1', '2', '1', '2', '1', '2']);
    pool.submit('3', 'example', 1);
    pool.end(begun[0]);
    expect(pool.runAll().map(({ user }) => user)).toEqual(['3']);
  });
});

describe('the groups of quotas', () => {
  it.each([
    [{ user: 'alice' }, 'user/alice'],
    [{ user: '*' }, 'user/*'],
    [{ class: 'gpu' }, 'class/gpu'],
    [{ user: 'alice', class: 'gpu' }, 'user/alice/class/gpu'],
  ])('of %j are called %s', (target, group) => {
    expect(toQuotaGroup(target)).toBe(group);
    expect(toQuotaTarget(group)).toEqual(target);
  });

  it.each(['array/a', 'service/x', 'user/alice/service/x', 'user/', ''])(
    'do not take %j for a user or a class',
    (group) => {
      expect(toQuotaTarget(group)).toBeUndefined();
    },
  );
});
