import { judgeQuotas, toShape } from '@berth/domain';
import type { JobRecord, Quotas } from '@berth/store';

/** Ids of jobs. */
export type OverQuota = ReadonlySet<string>;

const waitsForMachine = ({ state, held, after_left, due_at }: JobRecord): boolean =>
  state === 'pending' && !held && after_left === 0 && due_at === null;

/**
 * Those of the jobs that a quota holds back now, by the same rule as a claim. It changes with what other jobs do, so it is found out for each answer
 * and stands in no record: one read for all of them, none where none waits for a machine.
 */
export const findOverQuota = async (quotas: Pick<Quotas, 'readBook'>, jobs: JobRecord[]): Promise<OverQuota> => {
  const waiting = jobs.filter(waitsForMachine).map((job) => ({ ...job, shape: toShape(job.shape) }));
  if (waiting.length === 0) return new Set();
  const book = await quotas.readBook(waiting);
  return new Set(waiting.filter((job) => judgeQuotas(job, book).length > 0).map(({ job_id }) => job_id));
};
