import { type JobState, toFailureReason, withLine } from '@berth/domain';
import type { JobRecord } from '@berth/store';
import { toZonedTime } from './wire-time.js';

type CoordinatorStatus = 'pending' | 'running' | 'completed' | 'failed';

const toStatus = (state: JobState): CoordinatorStatus => (state === 'cancelled' ? 'failed' : state);

/** The format has one word for every end that is no exit: -1. */
const NO_EXIT_CODE = -1;
const TIMED_OUT = 'Job execution timeout';

/** What the job wrote, as far as it is kept. */
export interface JobOutput {
  stdout: string;
  stderr: string;
}

const toEnd = (job: JobRecord, { stdout, stderr }: JobOutput) => {
  if (job.cause === null || job.cause === 'exit_code') return { exit_code: job.exit_code, stdout, stderr };
  const timedOut = job.cause === 'timeout';
  return {
    exit_code: timedOut ? NO_EXIT_CODE : (job.exit_code ?? NO_EXIT_CODE),
    stdout: stdout === '' ? null : stdout,
    stderr: timedOut ? TIMED_OUT : withLine(stderr, toFailureReason(job.cause, job.message)),
  };
};

const NOT_ENDED = { exit_code: null, stdout: null, stderr: null };

/** The answer to a submission. */
export const toCoordinatorReceipt = ({ job_id, created_at }: JobRecord) => ({
  job_id,
  status: 'pending',
  created_at: toZonedTime(created_at),
});

/** The record in the coordinator's words: always these 8 keys, in this order. `output` is null until the job has ended. */
export const toCoordinatorJob = (job: JobRecord, output: JobOutput | null) => ({
  job_id: job.job_id,
  status: toStatus(job.state),
  ...(output === null ? NOT_ENDED : toEnd(job, output)),
  runtime_ms: job.finished_at === null ? null : Math.max(0, job.finished_at - (job.started_at ?? job.finished_at)),
  created_at: toZonedTime(job.created_at),
  completed_at: job.finished_at === null ? null : toZonedTime(job.finished_at),
});
