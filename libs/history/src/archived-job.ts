import { addConsumption, type Consumption, NO_CONSUMPTION, toConsumption } from '@berth/domain';
import { type JobRecord, type StoredJob, toJobRecord } from '@berth/store';

/** What is kept of a job as it stood in Redis. */
export type Kept = Pick<StoredJob, 'fields' | 'events' | 'segments'>;

export interface UsageRow extends Consumption {
  node: string;
  is_first: boolean;
  attempts: number;
}

/** A job, ready to be archived. */
export interface ArchivedJob {
  job: JobRecord;
  kept: Kept;
  /** `name=value`. */
  labels: string[];
  usage: UsageRow[];
}

/** Of each node that it ran on one row; one with an empty node where it ran on none. */
export const toUsageRows = (job: Pick<JobRecord, 'spec' | 'attempts' | 'node'>): UsageRow[] => {
  const rows = new Map<string, Omit<UsageRow, 'is_first'>>();
  for (const attempt of job.attempts) {
    const before = rows.get(attempt.node) ?? { node: attempt.node, attempts: 0, ...NO_CONSUMPTION };
    const sum = addConsumption(before, toConsumption(job.spec, attempt));
    rows.set(attempt.node, { ...sum, node: attempt.node, attempts: before.attempts + 1 });
  }
  const last = job.node ?? '';
  if (!rows.has(last) && (last !== '' || rows.size === 0))
    rows.set(last, { node: last, attempts: 0, ...NO_CONSUMPTION });
  return [...rows.values()].map((row, i) => ({ ...row, is_first: i === 0 }));
};

/** Null where the hash is not that of a job. */
export const toArchivedJob = ({ job_id, fields, events, segments }: StoredJob): ArchivedJob | null => {
  const job = toJobRecord(job_id, fields);
  if (job === null) return null;
  const labels = Object.entries(job.spec.labels ?? {}).map(([name, value]) => `${name}=${value}`);
  return { job, kept: { fields, events, segments }, labels, usage: toUsageRows(job) };
};
