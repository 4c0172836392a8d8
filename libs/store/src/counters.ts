import type { Redis } from 'ioredis';
import type { Keys } from './keys.js';

/** Upper bounds of the histogram buckets of run time and queue time, in milliseconds; above the last is `+Inf`. */
export const BUCKET_BOUNDS_MS = [
  100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000, 300_000, 900_000, 3_600_000, 14_400_000,
];

export interface HistogramTotals {
  /** Observations in each bucket of BUCKET_BOUNDS_MS, not cumulative. */
  buckets: number[];
  sum_ms: number;
  count: number;
}

/** Totals since the installation began, kept by the scripts that append the events: every replica reads the same. */
export interface JobTotals {
  submitted: { class: string; count: number }[];
  finished: { class: string; state: string; cause: string; count: number }[];
  /** Time from start to end of an attempt, by class. */
  runtime: Map<string, HistogramTotals>;
  /** Time from submission to the first start, by class. */
  queue: Map<string, HistogramTotals>;
}

const toHistogramSlot = (totals: Map<string, HistogramTotals>, className: string): HistogramTotals => {
  const known = totals.get(className);
  if (known) return known;
  const fresh = { buckets: BUCKET_BOUNDS_MS.map(() => 0), sum_ms: 0, count: 0 };
  totals.set(className, fresh);
  return fresh;
};

const addObservation = (totals: HistogramTotals, part: string, count: number): void => {
  if (part === 'sum') totals.sum_ms = count;
  else if (part === 'count') totals.count = count;
  else totals.buckets[BUCKET_BOUNDS_MS.indexOf(Number(part))] = count;
};

/** Fields are `submitted|class`, `finished|class|state|cause`, `runtime|class|part` and `queue|class|part`. */
export const toJobTotals = (fields: Record<string, string>): JobTotals => {
  const totals: JobTotals = { submitted: [], finished: [], runtime: new Map(), queue: new Map() };
  for (const [field, value] of Object.entries(fields)) {
    const [kind, className = '', third = '', cause = ''] = field.split('|');
    const count = Number(value);
    if (kind === 'submitted') totals.submitted.push({ class: className, count });
    if (kind === 'finished') totals.finished.push({ class: className, state: third, cause, count });
    if (kind === 'runtime') addObservation(toHistogramSlot(totals.runtime, className), third, count);
    if (kind === 'queue') addObservation(toHistogramSlot(totals.queue, className), third, count);
  }
  return totals;
};

export const readJobTotals = async (redis: Redis, keys: Keys): Promise<JobTotals> =>
  toJobTotals(await redis.hgetall(keys.counters));
