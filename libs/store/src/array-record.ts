import { type ArrayCounts, type Cause, type JobSpec, type JobState, toArrayState } from '@berth/domain';
import { toSpec } from './spec-text.js';

/** What the store knows of an array. Times are Unix milliseconds. */
export interface ArrayRecord {
  array_id: string;
  state: JobState;
  user: string;
  class: string;
  /** What its jobs have in common. */
  spec: JobSpec;
  size: number;
  max_running: number | null;
  counts: ArrayCounts;
  /** How many of the jobs that it is to run after have not ended. */
  after_left: number;
  cause: Cause | null;
  message: string | null;
  created_at: number;
  finished_at: number | null;
}

type Fields = Record<string, string | undefined>;

const toNumber = (value: string | undefined): number | null => (value ? Number(value) : null);

const toCounts = (fields: Fields): ArrayCounts => {
  const [running, completed, failed, cancelled] = [
    fields.running,
    fields.completed,
    fields.failed,
    fields.cancelled,
  ].map(Number);
  const counts = { running: running ?? 0, completed: completed ?? 0, failed: failed ?? 0, cancelled: cancelled ?? 0 };
  const elsewhere = Object.values(counts).reduce((sum, count) => sum + count, 0);
  return { pending: Number(fields.size) - elsewhere, ...counts };
};

/** An array's hash as it stands in Redis, or null where there is none. */
export const toArrayRecord = (array_id: string, fields: Fields): ArrayRecord | null => {
  if (fields.size === undefined || fields.spec === undefined) return null;
  const counts = toCounts(fields);
  return {
    array_id,
    state: toArrayState(counts),
    user: fields.user ?? '',
    class: fields.class ?? '',
    spec: toSpec(fields.spec),
    size: Number(fields.size),
    max_running: toNumber(fields.max_running),
    counts,
    after_left: Number(fields.after_left ?? 0),
    cause: (fields.cause ?? null) as Cause | null,
    message: fields.message ?? null,
    created_at: Number(fields.created_at),
    finished_at: toNumber(fields.finished_at),
  };
};
