import {
  type Candidate,
  NO_TALLY,
  type Quota,
  type QuotaBook,
  type QuotaTarget,
  type Tally,
  toDefaultGroup,
  toGroupsOf,
  toQuotaGroup,
  toQuotaTarget,
  toServiceGroups,
} from '@berth/domain';
import type { Redis } from 'ioredis';
import type { Keys } from './keys.js';
import type { Scripts } from './scripts.js';

export interface QuotaEntry {
  target: QuotaTarget;
  quota: Quota;
  /** What the group holds now. Null for a quota of every user: each of them has a count of their own. */
  used: Tally | null;
}

export interface ServiceLimits {
  max_runs: number;
  runs_per_user: number;
}

/** In the order of what `toTally` takes. */
const MEASURES = ['running', 'centicpus', 'memory_mb', 'gpus', 'pending'] as const satisfies (keyof Tally)[];

export const toTally = (counts: (string | null | false | undefined)[]): Tally =>
  Object.fromEntries(MEASURES.map((measure, i) => [measure, Number(counts[i] || 0)])) as Record<
    (typeof MEASURES)[number],
    number
  >;

/** Limits for users, classes, and users within a class; the scripts of accept and claim enforce them. */
export const createQuotas = (redis: Redis, keys: Keys, scripts: Scripts) => {
  /** In the order of the groups. */
  const readTallies = async (groups: string[]): Promise<Tally[]> => {
    if (groups.length === 0) return [];
    const fields = groups.flatMap((group) => MEASURES.map((measure) => `${group}|${measure}`));
    const counts = await redis.hmget(keys.tally, ...fields);
    return groups.map((_, i) => toTally(counts.slice(i * MEASURES.length, (i + 1) * MEASURES.length)));
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

    /** What a service of the job orchestrator may run at a time, and what each of its users may. In place of what it had. */
    async setService(service: string, limits: ServiceLimits): Promise<void> {
      const most = [limits.max_runs, limits.runs_per_user];
      for (const [i, group] of toServiceGroups(service, '*').entries()) {
        const text = JSON.stringify({ max_running: most[i] } satisfies Quota);
        // A change wakes all workers that wait.
        if ((await redis.hget(keys.quotas, group)) !== text) await scripts.run('set-quota', group, text);
      }
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

    /** What binds these jobs, and what there is of it now: all at once, however many they are. */
    async readBook(jobs: Candidate[]): Promise<QuotaBook> {
      const groups = [...new Set(jobs.flatMap(toGroupsOf))];
      if (groups.length === 0) return { quotas: {}, tallies: {} };
      const names = [...new Set([...groups, ...groups.map(toDefaultGroup)])];
      const [texts, tallies] = await Promise.all([redis.hmget(keys.quotas, ...names), readTallies(groups)]);
      return {
        quotas: Object.fromEntries(
          names.flatMap((name, i): [string, Quota][] => (texts[i] ? [[name, JSON.parse(texts[i])]] : [])),
        ),
        tallies: Object.fromEntries(groups.map((group, i) => [group, tallies[i] ?? NO_TALLY])),
      };
    },
  };
};

export type Quotas = ReturnType<typeof createQuotas>;
