import { z } from 'zod';
import { type Resources, toCenticpus } from './resources.js';

/** Who submits where nobody has made an API key yet. */
export const LOCAL_USER = 'local';

/**
 * What a user, a class or any other group may hold at a time. Absent: no limit. The jobs of a group that is at a limit of what runs wait;
 * one job more than `max_pending` is refused.
 */
export const quotaSchema = z.strictObject({
  max_running: z.number().int().min(0).max(1_000_000).optional(),
  max_cpus: z.number().min(0).max(1_000_000).optional(),
  max_memory_mb: z.number().int().min(0).max(1_000_000_000_000).optional(),
  max_gpus: z.number().int().min(0).max(1_000_000).optional(),
  max_pending: z.number().int().min(0).max(10_000_000).optional(),
});
export type Quota = z.infer<typeof quotaSchema>;

/** What a group holds: its pending jobs, and what its running ones have reserved. */
export interface Tally {
  running: number;
  centicpus: number;
  memory_mb: number;
  gpus: number;
  pending: number;
}

/**
 * The groups whose quotas bind a job. A name is a path: `user/<name>`, `class/<name>`, `user/<name>/class/<name>`, and whatever else the
 * job was put into, such as `array/<id>`. `shares.lua` builds the first three in the same way.
 */
export const toGroups = (user: string, className: string, more: readonly string[] = []): string[] => [
  `user/${user}`,
  `class/${className}`,
  `user/${user}/class/${className}`,
  ...more,
];

/** The name under which a quota for every user stands, where the group has none of its own: `user/*` for `user/alice`. */
export const toDefaultGroup = (group: string): string => group.replace(/^user\/[^/]+/, 'user/*');

export const NO_TALLY: Tally = { running: 0, centicpus: 0, memory_mb: 0, gpus: 0, pending: 0 };

/** A limit that one more job would exceed: the most that there may be, what there is, and what the job adds. CPUs in hundredths. */
export interface ExceededLimit {
  limit: Exclude<keyof Quota, 'max_pending'>;
  most: number;
  holds: number;
  wanted: number;
}

/** The limits of what runs that one more job of this size would exceed. */
export const findExceeded = (quota: Quota, tally: Tally, ask: Resources): ExceededLimit[] => {
  const cpus = quota.max_cpus === undefined ? undefined : toCenticpus(quota.max_cpus);
  const limits = [
    { limit: 'max_running', most: quota.max_running, holds: tally.running, wanted: 1 },
    { limit: 'max_cpus', most: cpus, holds: tally.centicpus, wanted: ask.centicpus },
    { limit: 'max_memory_mb', most: quota.max_memory_mb, holds: tally.memory_mb, wanted: ask.memory_mb },
    { limit: 'max_gpus', most: quota.max_gpus, holds: tally.gpus, wanted: ask.gpus },
  ] as const;
  return limits.flatMap(({ most, ...one }) =>
    most !== undefined && one.holds + one.wanted > most ? [{ ...one, most }] : [],
  );
};

/** Whether one more job of this size keeps the group within its quota. */
export const isWithin = (quota: Quota, tally: Tally, ask: Resources): boolean =>
  findExceeded(quota, tally, ask).length === 0;

/** Whom a quota is for: a user or, as `*`, every user on their own, in all classes or in one; or a class, whoever's jobs they are. */
export interface QuotaTarget {
  user?: string | undefined;
  class?: string | undefined;
}

export const toQuotaGroup = ({ user, class: className }: QuotaTarget): string =>
  [...(user === undefined ? [] : [`user/${user}`]), ...(className === undefined ? [] : [`class/${className}`])].join(
    '/',
  );

/** The other way round; undefined for a group of another kind. */
export const toQuotaTarget = (group: string): QuotaTarget | undefined => {
  const [, user, , alone, within] = /^(?:user\/([^/]+)(\/class\/([^/]+))?|class\/([^/]+))$/.exec(group) ?? [];
  return user === undefined && within === undefined ? undefined : toTarget(user, alone ?? within);
};

const toTarget = (user: string | undefined, className: string | undefined): QuotaTarget => ({
  ...(user === undefined ? {} : { user }),
  ...(className === undefined ? {} : { class: className }),
});

/**
 * The groups of a job that came in for a service of the job orchestrator: what the service may run at a time (`SERVICE_<NAME>_MAX_RUNS`), and
 * what each of its users may run of it (`SERVICE_<NAME>_RUNS_PER_USER`, which stands for all of them under `toDefaultGroup`).
 */
export const toServiceGroups = (service: string, user: string): string[] => [
  `service/${service}`,
  `user/${user}/service/${service}`,
];
