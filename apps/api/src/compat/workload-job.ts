import type { JobState } from '@berth/domain';
import type { JobRecord } from '@berth/store';
import { toNaiveTime } from './wire-time.js';
import type { WorkloadRequest } from './workload-request.js';

export const WORKLOAD_STATUSES = ['pending', 'running', 'succeeded', 'failed'] as const;
export type WorkloadStatus = (typeof WORKLOAD_STATUSES)[number];

const STATUSES: Record<JobState, WorkloadStatus> = {
  pending: 'pending',
  running: 'running',
  completed: 'succeeded',
  failed: 'failed',
  cancelled: 'failed',
};

/** A job that is being cancelled is failed from the moment of the wish: the record lets it end in no other way. */
export const toWorkloadStatus = ({ state, cancel_requested }: JobRecord): WorkloadStatus =>
  cancel_requested ? 'failed' : STATUSES[state];

/** The states in which a job may have the status. */
export const toStates = (status: WorkloadStatus): JobState[] => {
  if (status === 'failed') return ['failed', 'cancelled', 'running'];
  return status === 'succeeded' ? ['completed'] : [status];
};

/** The record in the workload runner's words: always these 16 keys, in this order. */
export const toWorkloadJob = (job: JobRecord) => {
  const changed_at = toNaiveTime(job.changed_at);
  return {
    job_id: job.job_id,
    ...(job.request as unknown as WorkloadRequest),
    status: toWorkloadStatus(job),
    status_date: changed_at,
    executor_ip: job.state === 'pending' ? null : job.node,
    created_at: toNaiveTime(job.created_at),
    updated_at: changed_at,
  };
};
