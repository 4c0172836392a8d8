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
export const toDefaultGroup = (group: string): string => {
  if (!group.startsWith('user/')) return group;
  const end = group.indexOf('/', 'user/'.length);
  return end < 0 ? 'user/*' : `user/*${group.slice(end)}`;
};

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
  const found: ExceededLimit[] = [];
  const check = (limit: ExceededLimit['limit'], most: number | undefined, holds: number, wanted: number): void => {
    if (most !== undefined && holds + wanted > most) found.push({ limit, most, holds, wanted });
  };
  const cpus = quota.max_cpus === undefined ? undefined : toCenticpus(quota.max_cpus);
  check('max_running', quota.max_running, tally.running, 1);
  check('max_cpus', cpus, tally.centicpus, ask.centicpus);
  check('max_memory_mb', quota.max_memory_mb, tally.memory_mb, ask.memory_mb);
  check('max_gpus', quota.max_gpus, tally.gpus, ask.gpus);
  return found;
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
 * Who stands in line for a job of the job orchestrator: a user of its own, below the user whose key it is. No name of a user has a colon.
 */
export const toServiceUser = (user: string, user_id: number): string => `${user}:${user_id}`;

/**
 * The groups of a job that came in for a service of the job orchestrator: what the service may run at a time (`SERVICE_<NAME>_MAX_RUNS`), and
 * what each of its users may run of it (`SERVICE_<NAME>_RUNS_PER_USER`, which stands for all of them under `toDefaultGroup`).
 */
export const toServiceGroups = (service: string, user: string): string[] => [
  `service/${service}`,
  `user/${user}/service/${service}`,
];
