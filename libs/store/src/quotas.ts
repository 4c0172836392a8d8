import { NO_TALLY, type Quota, type QuotaTarget, type Tally, toQuotaGroup, toQuotaTarget } from '@berth/domain';
import type { Redis } from 'ioredis';
import type { Keys } from './keys.js';
import type { Scripts } from './scripts.js';

export interface QuotaEntry {
  target: QuotaTarget;
  quota: Quota;
  /** What the group holds now. Null for a quota of every user: each of them has a count of their own. */
  used: Tally | null;
}

const MEASURES = Object.keys(NO_TALLY) as (keyof Tally)[];

/** Limits for users, classes, and users within a class; the scripts of accept and claim enforce them. */
export const createQuotas = (redis: Redis, keys: Keys, scripts: Scripts) => {
  /** In the order of the groups. */
  const readTallies = async (groups: string[]): Promise<Tally[]> => {
    if (groups.length === 0) return [];
    const fields = groups.flatMap((group) => MEASURES.map((measure) => `${group}|${measure}`));
    const counts = await redis.hmget(keys.tally, ...fields);
    return groups.map((_, i) => {
      const own = MEASURES.map((measure, j) => [measure, Number(counts[i * MEASURES.length + j] ?? 0)]);
      return Object.fromEntries(own) as unknown as Tally;
    });
  };

  return {
    /** In place of what the target had. Jobs that run already go on. */
    async set(target: QuotaTarget, quota: Quota): Promise<void> {
      await scripts.run('set-quota', toQuotaGroup(target), JSON.stringify(quota));
    },

    /** False where there is none. */
    async remove(target: QuotaTarget): Promise<boolean> {
      return (await scripts.run('set-quota', toQuotaGroup(target), '')) === 1;
    },

    /** Those of users and classes, in the order of their groups. */
    async list(): Promise<QuotaEntry[]> {
      const found = Object.entries(await redis.hgetall(keys.quotas)).flatMap(([group, text]) => {
        const target = toQuotaTarget(group);
        return target ? [{ group, target, quota: JSON.parse(text) as Quota }] : [];
      });
      found.sort((a, b) => (a.group < b.group ? -1 : 1));
      const tallies = await readTallies(found.map(({ group }) => group));
      return found.map(({ target, quota }, i) => ({
        target,
        quota,
        used: target.user === '*' ? null : (tallies[i] ?? NO_TALLY),
      }));
    },

    readTallies,
  };
};

export type Quotas = ReturnType<typeof createQuotas>;
