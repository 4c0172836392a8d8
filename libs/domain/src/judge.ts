import { type NodePlace, type NodeView, pickGpus, type Shape } from './placement.js';
import {
  type ExceededLimit,
  findExceeded,
  isWithin,
  NO_TALLY,
  type Quota,
  type Tally,
  toDefaultGroup,
  toGroups,
} from './quota.js';
import { fits, type Resources } from './resources.js';

/** Stands for a user where a class orders priority across its users: they share one queue. */
export const ALL_USERS = '*';

/** The job that a machine is kept free for, from `at` (Unix ms) on. `left`: what others may hold beyond that time. */
export interface Reservation {
  job_id: string;
  at: number;
  left: Resources;
}

/** A machine and what stands on it. */
export interface MachineView extends NodeView {
  reservation?: Reservation | undefined;
  /** Classes that its workers serve. Absent: all. */
  classes?: readonly string[] | undefined;
}

/** Quotas and tallies by group, as the store keeps them: quotas that all users have stand as `user/*`. */
export interface QuotaBook {
  quotas: Readonly<Record<string, Quota>>;
  tallies: Readonly<Record<string, Tally>>;
}

/** A job as the pick sees it. */
export interface Candidate {
  job_id: string;
  class: string;
  /** Its user, or `ALL_USERS`. */
  bucket: string;
  shape: Shape;
}

const MEASURES = ['centicpus', 'memory_mb', 'gpus'] as const;
export type Measure = (typeof MEASURES)[number];

/**
 * Something that keeps a job from running on a machine now. `too_small`: the machine would not hold it if it were empty; `no_room`: others
 * hold what it needs. `has` is what there is, or what is free; of `gpus`, those of the asked type with the asked memory.
 */
export type PlacementConstraint =
  | { kind: 'drained'; node: string }
  | { kind: 'class_not_served'; node: string; class: string }
  | { kind: 'label'; node: string; label: string; wanted: string; has: string | null }
  | { kind: 'region' | 'datacenter'; node: string; wanted: string[]; has: string }
  | { kind: 'too_small' | 'no_room'; node: string; measure: Measure; wanted: number; has: number }
  | { kind: 'reserved'; node: string; for_job: string; from: number };

/** A quota that the job would exceed, on whichever machine. CPUs are counted in hundredths. */
export interface QuotaConstraint extends ExceededLimit {
  kind: 'quota';
  group: string;
}

export type Constraint = PlacementConstraint | QuotaConstraint;

const judgePlace = (shape: Shape, { node, labels, region, datacenter }: NodePlace): PlacementConstraint[] => {
  const found: PlacementConstraint[] = [];
  for (const [label, wanted] of Object.entries(shape.node_selector ?? {})) {
    const has = Object.hasOwn(labels, label) ? (labels[label] ?? null) : null;
    if (has !== wanted) found.push({ kind: 'label', node, label, wanted, has });
  }
  const { eligible_regions: regions = [], eligible_datacenters: datacenters = [] } = shape;
  if (regions.length > 0 && !regions.includes(region))
    found.push({ kind: 'region', node, wanted: regions, has: region });
  if (datacenters.length > 0 && !datacenters.includes(datacenter)) {
    found.push({ kind: 'datacenter', node, wanted: datacenters, has: datacenter });
  }
  return found;
};

/** How many of a machine's GPUs would do for the job, as they are held. */
const countGpus = ({ gpus: ask }: Shape, { gpus }: NodeView, holds: NodeView['gpu_holds']): number =>
  ask === undefined ? 0 : gpus.filter((gpu) => pickGpus({ ...ask, count: 1 }, [gpu], holds)).length;

const judgeMeasure = (measure: Measure, shape: Shape, machine: NodeView): PlacementConstraint[] => {
  const wanted = shape.ask[measure];
  if (wanted === 0) return [];
  const { node, capacity, reserved, gpu_holds } = machine;
  const all = measure === 'gpus' ? countGpus(shape, machine, []) : capacity[measure];
  if (wanted > all) return [{ kind: 'too_small', node, measure, wanted, has: all }];
  const free = measure === 'gpus' ? countGpus(shape, machine, gpu_holds) : all - reserved[measure];
  return wanted > free ? [{ kind: 'no_room', node, measure, wanted, has: free }] : [];
};

/**
 * Whether a job may pass the one that the machine is reserved for. It may where it is gone by then (`before`), and where it fits into what
 * that one leaves over (`beside`), of which it then takes its part.
 */
export const judgePassing = (
  { job_id, shape }: Pick<Candidate, 'job_id' | 'shape'>,
  reservation: Reservation | undefined,
  at: number,
): 'free' | 'before' | 'beside' | 'no' => {
  if (reservation === undefined || reservation.job_id === job_id) return 'free';
  if (at + shape.timeout_seconds * 1000 <= reservation.at) return 'before';
  return fits(shape.ask, reservation.left) ? 'beside' : 'no';
};

/** Most of what cannot run on a machine is too big for what is free, and that is seen without a look at anything else. */
export const hasRoom = ({ ask }: Shape, { drained, capacity, reserved }: MachineView): boolean =>
  !drained &&
  ask.centicpus <= capacity.centicpus - reserved.centicpus &&
  ask.memory_mb <= capacity.memory_mb - reserved.memory_mb;

/** All that keeps a job from running on a machine at a time (Unix ms), quotas aside. */
export const judgePlacement = (job: Candidate, machine: MachineView, at: number): PlacementConstraint[] => {
  const { node, classes, drained, reservation } = machine;
  const found: PlacementConstraint[] = [];
  if (drained) found.push({ kind: 'drained', node });
  if (classes && !classes.includes(job.class)) found.push({ kind: 'class_not_served', node, class: job.class });
  found.push(...judgePlace(job.shape, machine));
  for (const measure of MEASURES) found.push(...judgeMeasure(measure, job.shape, machine));
  if (reservation && judgePassing(job, reservation, at) === 'no') {
    found.push({ kind: 'reserved', node, for_job: reservation.job_id, from: reservation.at });
  }
  return found;
};

/** The groups whose quotas bind a job where it waits. Where users share a queue, those of its user are in its shape. */
export const toGroupsOf = ({ class: className, bucket, shape }: Candidate): string[] =>
  bucket === ALL_USERS ? [`class/${className}`, ...(shape.groups ?? [])] : toGroups(bucket, className, shape.groups);

/** The group's own quota, or that of the group of every user. */
export const findQuota = (quotas: QuotaBook['quotas'], group: string): Quota | undefined =>
  quotas[group] ?? (group.startsWith('user/') ? quotas[toDefaultGroup(group)] : undefined);

/** The quotas of groups that have one, and what each holds. */
const listLimits = ({ quotas, tallies }: QuotaBook, groups: readonly string[]): [Quota, Tally][] =>
  groups.flatMap((group): [Quota, Tally][] => {
    const quota = findQuota(quotas, group);
    return quota ? [[quota, tallies[group] ?? NO_TALLY]] : [];
  });

/** Every limit that keeps a job from running on any machine. */
export const judgeQuotas = (job: Candidate, { quotas, tallies }: QuotaBook): QuotaConstraint[] =>
  toGroupsOf(job).flatMap((group) => {
    const quota = findQuota(quotas, group);
    if (!quota) return [];
    const exceeded = findExceeded(quota, tallies[group] ?? NO_TALLY, job.shape.ask);
    return exceeded.map((limit) => ({ kind: 'quota' as const, group, ...limit }));
  });

/** Whether quotas leave room for a job. They are looked up once for jobs of one user and class that follow each other. */
export const createQuotaTest = (book: QuotaBook) => {
  let last: { class: string; bucket: string; limits: [Quota, Tally][] } | undefined;
  return (job: Candidate): boolean => {
    if (job.bucket === ALL_USERS || job.shape.groups) return judgeQuotas(job, book).length === 0;
    if (last?.class !== job.class || last.bucket !== job.bucket) {
      last = { class: job.class, bucket: job.bucket, limits: listLimits(book, toGroupsOf(job)) };
    }
    return last.limits.every(([quota, tally]) => isWithin(quota, tally, job.shape.ask));
  };
};
