import { addUse, NO_USE, type ShareLevel, toCharge, toCorrection, toRank } from '@berth/domain';
import type { Claim } from '@berth/store';
import { describe, expect, it } from 'vitest';
import { openTestStore, type TestStore, toClaimant, toNewJob, toSettlement } from './open-test-store.js';

const HALF_LIFE_MS = 24 * 3_600_000;
const SLOTS = 20;
const BY = toClaimant({ capacity: { centicpus: SLOTS * 100, memory_mb: 100_000, gpus: 0 } });
const SHARE = 1 / SLOTS;
const TIMEOUT_SECONDS = 600;

const openCluster = async (): Promise<TestStore> => {
  const open = openTestStore('fair-share');
  await open.redis.hset(open.store.keys.cluster, { ...BY.capacity });
  return open;
};

const submitMany = ({ store }: TestStore, user: string, count: number): Promise<unknown> =>
  Promise.all(
    Array.from({ length: count }, () =>
      store.jobs.accept(toNewJob({ cpus: 1, memory_mb: 64, timeout_seconds: TIMEOUT_SECONDS }, { user })),
    ),
  );

/** With whatever ticket there is; undefined where nothing could run. */
const drawNext = async ({ store, redis }: TestStore): Promise<Claim | undefined> => {
  await store.backlog.dispatch('small', 50, 50);
  const ticket = await redis.hrandfield(store.keys.tickets('small'));
  if (typeof ticket !== 'string') return undefined;
  const reply = await store.claims.draw('small', ticket, BY);
  return reply.kind === 'claimed' ? reply.claim : undefined;
};

/** Ends it as if it had begun so long ago. */
const endAfter = async ({ store, redis }: TestStore, claim: Claim, held_ms: number): Promise<void> => {
  const key = store.keys.job(claim.job_id);
  await redis.hset(key, 'claimed_at', Number(await redis.hget(key, 'claimed_at')) - held_ms);
  await store.claims.settle(claim, toSettlement('completed'));
};

const fill = async (open: TestStore): Promise<Claim[]> => {
  const running: Claim[] = [];
  for (let claim = await drawNext(open); claim; claim = await drawNext(open)) running.push(claim);
  return running;
};

describe('the shares that the scripts keep', () => {
  it('are those of the pure functions, after each claim and each end', async () => {
    const open = await openCluster();
    const { store, redis } = open;
    const weights: Record<string, number> = { alice: 1, bob: 2, carol: 0.3 };
    await redis.hset(store.keys.weights, weights);
    const levels: Record<string, ShareLevel> = {};
    const add = (user: string, amount: number, at: number) => {
      levels[user] = addUse(levels[user] ?? NO_USE, amount, at, HALF_LIFE_MS);
    };
    const expectLevels = async (): Promise<void> => {
      for (const [user, level] of Object.entries(levels)) {
        const stored = await redis.zscore(store.keys.shares, user);
        expect(stored === null ? NO_USE : Number(stored), user).toBeCloseTo(level, 9);
        const rank = await redis.zscore(store.keys.eligible('small'), user);
        if (rank !== null) expect(Number(rank), user).toBeCloseTo(toRank(level, weights[user] ?? 1), 9);
      }
    };
    for (const user of Object.keys(weights)) await submitMany(open, user, 12);
    const running: Claim[] = [];
    for (let i = 0; i < 60; i += 1) {
      const claim = await drawNext(open);
      if (claim) {
        const { claimed_at, charged } = await redis.hgetall(store.keys.job(claim.job_id));
        const expected = toCharge(SHARE, undefined, TIMEOUT_SECONDS);
        expect(Number(charged)).toBeCloseTo(expected, 6);
        add(claim.user, expected, Number(claimed_at));
        running.push(claim);
      }
      await expectLevels();
      const ended = i % 2 === 1 ? running.shift() : undefined;
      if (!ended) continue;
      await endAfter(open, ended, 1_000 * i * i);
      const { claimed_at, finished_at, charged } = await redis.hgetall(store.keys.job(ended.job_id));
      const held_ms = Number(finished_at) - Number(claimed_at);
      add(
        ended.user,
        toCorrection({ share: SHARE, charged: Number(charged) }, held_ms, HALF_LIFE_MS),
        Number(finished_at),
      );
      await expectLevels();
    }
    expect(Object.keys(levels).sort()).toEqual(['alice', 'bob', 'carol']);
  }, 240_000);
});

describe('on the real scripts', () => {
  it('whoever comes after a flood has the next place that gets free', async () => {
    const open = await openCluster();
    await submitMany(open, 'a', 400);
    const running = await fill(open);
    expect(running).toHaveLength(SLOTS);
    for (let i = 0; i < 60; i += 1) {
      await endAfter(open, running.shift() as Claim, 30_000);
      running.push((await drawNext(open)) as Claim);
    }
    await submitMany(open, 'b', 10);
    const users: string[] = [];
    for (let i = 0; i < SLOTS; i += 1) {
      await endAfter(open, running.shift() as Claim, 30_000);
      const claim = (await drawNext(open)) as Claim;
      users.push(claim.user);
      running.push(claim);
    }
    // One service time ends each of the jobs that ran: the first of these places is b's, and so are the others that b has jobs for.
    expect(users[0]).toBe('b');
    expect(users.filter((user) => user === 'b')).toHaveLength(10);
  }, 240_000);

  it('users get what their weights are worth', async () => {
    const open = await openCluster();
    const weights = { a: 1, b: 2, c: 5 };
    await open.redis.hset(open.store.keys.weights, weights);
    for (const user of Object.keys(weights)) await submitMany(open, user, 260);
    const running = await fill(open);
    const used: Record<string, number> = { a: 0, b: 0, c: 0 };
    for (let i = 0; i < 380; i += 1) {
      const ended = running.shift() as Claim;
      await endAfter(open, ended, 20_000);
      used[ended.user] = (used[ended.user] ?? 0) + 1;
      running.push((await drawNext(open)) as Claim);
    }
    for (const [user, weight] of Object.entries(weights)) {
      const due = (380 * weight) / 8;
      expect(Math.abs((used[user] ?? 0) - due), user).toBeLessThanOrEqual(Math.max(3, 0.05 * due));
    }
  }, 240_000);
});
