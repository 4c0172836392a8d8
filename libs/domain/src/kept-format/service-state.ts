import type { JobState } from '../job.js';
import type { Cause } from '../outcome.js';
import { toFailureReason } from './failure-reason.js';

/** The words of the job orchestrator. `Processing`, `Submitted` and `Unknown` were states between its two programs; nothing is in them here. */
export const SERVICE_STATES = [
  'Queued',
  'Processing',
  'Submitted',
  'Prepared',
  'Running',
  'Completed',
  'Failed',
  'Invalid',
  'Killed',
  'Cleaned',
  'Locked',
  'Unknown',
] as const;
export type ServiceState = (typeof SERVICE_STATES)[number];

/** What of a record the format tells. Times are Unix ms. */
export interface ServiceRecord {
  state: JobState;
  started_at: number | null;
  finished_at: number | null;
  cancel_requested: boolean;
  cause: Cause | null;
  exit_code: number | null;
  message: string | null;
  request: Record<string, unknown> | null;
}

const toRunningState = ({ cancel_requested, started_at }: ServiceRecord): ServiceState => {
  if (cancel_requested) return 'Locked';
  return started_at === null ? 'Prepared' : 'Running';
};

/** `clean_before`: what ended before is cleaned, whether its files are gone by now or about to go. */
export const toServiceState = (job: ServiceRecord, clean_before: number): ServiceState => {
  if (job.finished_at !== null && job.finished_at < clean_before) return 'Cleaned';
  switch (job.state) {
    case 'pending':
      return 'Queued';
    case 'running':
      return toRunningState(job);
    case 'completed':
      return 'Completed';
    case 'failed':
      return 'Failed';
    case 'cancelled':
      return typeof job.request?.invalid === 'string' ? 'Invalid' : 'Killed';
  }
};

/** Why it ended as it did; empty where there is nothing to say. */
export const toServiceMessage = ({ cause, exit_code, message }: ServiceRecord): string => {
  if (cause === 'exit_code') return `exit code ${exit_code}`;
  if (cause === 'cancelled') return message ?? '';
  return cause === null ? '' : toFailureReason(cause, message);
};
