import type { JobFilter, JobList, JobRecord } from '@berth/store';
import { toStates, toWorkloadStatus, type WorkloadStatus } from './workload-job.js';

/** Jobs of the workload runner's format, newest first: the newest `limit` of those in the status. */
export type ReadWorkloadJobs = (
  status: WorkloadStatus | undefined,
  limit: number,
  /** Undefined: everybody's. */
  user: string | undefined,
) => Promise<JobRecord[]>;

const byNewest = (a: JobRecord, b: JobRecord): number => (a.job_id < b.job_id ? 1 : -1);

/** The filter comes before the limit, so pages are read until enough has passed it or the list has ended. */
export const createWorkloadList = (list: JobList): ReadWorkloadJobs => {
  const readMatching = async (
    filter: JobFilter,
    accepts: (job: JobRecord) => boolean,
    limit: number,
  ): Promise<JobRecord[]> => {
    const found: JobRecord[] = [];
    let after: string | undefined;
    do {
      const page = await list.list(filter, limit, after);
      found.push(...page.jobs.filter(accepts));
      after = page.next ?? undefined;
    } while (after !== undefined && found.length < limit);
    return found.slice(0, limit);
  };

  return async (status, limit, user) => {
    const all: JobFilter = { format: 'workload', ...(user === undefined ? {} : { user }) };
    if (status === undefined) return readMatching(all, () => true, limit);
    const accepts = (job: JobRecord): boolean => toWorkloadStatus(job) === status;
    const found = await Promise.all(toStates(status).map((state) => readMatching({ ...all, state }, accepts, limit)));
    const byId = new Map(found.flat().map((job) => [job.job_id, job]));
    return [...byId.values()].sort(byNewest).slice(0, limit);
  };
};
