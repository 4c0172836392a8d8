import { DEFAULT_HALF_LIFE_SECONDS, NO_RESOURCES, NO_USE, type Resources, type ShareLevel } from '@berth/domain';
import type { Redis } from 'ioredis';
import type { Keys } from './keys.js';
import type { Scripts } from './scripts.js';

/** Who has used how much, and whose use counts how much, at one time. */
export interface FairShares {
  /** Unix milliseconds by the broker's clock. */
  at: number;
  half_life_seconds: number;
  /** What all machines have together: a job is charged for the largest part that it holds of any of it. */
  cluster: Resources;
  /** Everyone who has used something or has a weight of their own, by name. */
  users: { user: string; weight: number; level: ShareLevel }[];
}

export interface FairShareChange {
  half_life_seconds?: number | undefined;
  /** By user; the others keep theirs. 1 is everyone's to begin with. */
  weights?: Record<string, number> | undefined;
}

const MEASURES = ['centicpus', 'memory_mb', 'gpus'] as const;

const toPairs = (flat: string[]): [string, string][] =>
  flat.flatMap((item, i): [string, string][] => (i % 2 === 0 ? [[item, flat[i + 1] ?? '']] : []));

const toCluster = (fields: Record<string, string>): Resources => ({
  centicpus: Number(fields.centicpus ?? 0),
  memory_mb: Number(fields.memory_mb ?? 0),
  gpus: Number(fields.gpus ?? 0),
});

export const createFairShares = (redis: Redis, keys: Keys, scripts: Scripts) => ({
  async read(): Promise<FairShares> {
    const [time, shares, weights, cluster, half_life] = await Promise.all([
      redis.time() as unknown as Promise<[string, string]>,
      redis.zrange(keys.shares, '0', '-1', 'WITHSCORES'),
      redis.hgetall(keys.weights),
      redis.hgetall(keys.cluster),
      redis.hget(keys.settings, 'half_life_seconds'),
    ]);
    const levels = new Map(toPairs(shares).map(([user, level]) => [user, Number(level)]));
    const weightOf = new Map(Object.entries(weights));
    const names = [...new Set([...levels.keys(), ...weightOf.keys()])].sort();
    return {
      at: Number(time[0]) * 1_000 + Math.floor(Number(time[1]) / 1_000),
      half_life_seconds: Number(half_life ?? DEFAULT_HALF_LIFE_SECONDS),
      cluster: toCluster(cluster),
      users: names.map((user) => ({
        user,
        weight: Number(weightOf.get(user) ?? 1),
        level: levels.get(user) ?? NO_USE,
      })),
    };
  },

  async change({ half_life_seconds, weights = {} }: FairShareChange): Promise<void> {
    await scripts.run('set-fair-share', half_life_seconds ?? '', ...Object.entries(weights).flat());
  },

  /** Says what all machines have together. Without any it stays as it was: their return is worth waiting for. */
  async setCluster(total: Resources): Promise<void> {
    if (MEASURES.every((measure) => total[measure] === 0)) return;
    const before = toCluster(await redis.hgetall(keys.cluster));
    if (MEASURES.every((measure) => total[measure] === before[measure])) return;
    await redis.hset(keys.cluster, { ...NO_RESOURCES, ...total });
  },
});

export type FairShareStore = ReturnType<typeof createFairShares>;
