import { isTerminal, toRetryPolicy } from '@berth/domain';
import type { AttemptRecord, JobRecord, LogStore, LogTail } from '@berth/store';
import { toTailText } from './log-text.js';
import { type AttemptAnswer, type JobAnswer, type JobRow, toUsageAnswer } from './schemas/job.js';

const TAIL_BYTES = 64 * 1024;

export interface Tails {
  stdout: LogTail;
  stderr: LogTail;
}

const NO_TAIL: LogTail = { bytes: Buffer.alloc(0), truncated: false };
export const NO_TAILS: Tails = { stdout: NO_TAIL, stderr: NO_TAIL };

const toTime = (ms: number): string => new Date(ms).toISOString();
const toOptionalTime = (ms: number | null): string | null => (ms === null ? null : toTime(ms));

const toAttemptAnswer = (attempt: AttemptRecord): AttemptAnswer => ({
  attempt: attempt.attempt,
  epoch: attempt.epoch,
  node: attempt.node,
  image_digest: attempt.image_digest,
  started_at: toOptionalTime(attempt.started_at),
  finished_at: toTime(attempt.finished_at),
  exit_code: attempt.exit_code,
  cause: attempt.cause,
  message: attempt.message ?? null,
  evidence: attempt.evidence ?? null,
  usage: attempt.usage ? toUsageAnswer(attempt.usage) : null,
});

const toRuntime = (job: JobRecord, now_ms: number): number | null =>
  job.started_at === null ? null : Math.max(0, (job.finished_at ?? now_ms) - job.started_at);

const toQueueTime = (job: JobRecord, now_ms: number): number =>
  Math.max(0, (job.first_started_at ?? job.finished_at ?? now_ms) - job.created_at);

/** The first that has to go: a job that is held waits for a person, whatever else it waits for. */
const toWaitingFor = (job: JobRecord): JobRow['waiting_for'] => {
  if (job.state !== 'pending') return null;
  if (job.held) return 'hold';
  if (job.after_left > 0) return 'dependencies';
  return job.due_at === null ? null : 'back_off';
};

/** A job as lists show it. */
export const toJobRow = (job: JobRecord, now_ms: number): JobRow => ({
  job_id: job.job_id,
  user: job.user,
  state: job.state,
  cause: job.cause,
  exit_code: job.exit_code,
  message: job.message,
  waiting_for: toWaitingFor(job),
  requeued_from: job.requeued_from,
  array_id: job.array_id,
  array_index: job.array_index,
  image: job.spec.image,
  image_digest: job.image_digest,
  command: job.spec.command,
  class: job.class,
  priority: job.priority,
  node: job.node,
  gpu_uuids: job.gpu_uuids,
  attempts: job.attempts.map(toAttemptAnswer),
  created_at: toTime(job.created_at),
  started_at: toOptionalTime(job.started_at),
  finished_at: toOptionalTime(job.finished_at),
  runtime_ms: toRuntime(job, now_ms),
  queue_ms: toQueueTime(job, now_ms),
  spec: { ...job.spec, retry: toRetryPolicy(job.spec) },
});

export const toJobAnswer = (job: JobRecord, tails: Tails, now_ms: number): JobAnswer => ({
  ...toJobRow(job, now_ms),
  stdout: toTailText(tails.stdout.bytes, tails.stdout.truncated),
  stdout_truncated: tails.stdout.truncated,
  stderr: toTailText(tails.stderr.bytes, tails.stderr.truncated),
  stderr_truncated: tails.stderr.truncated,
});

/** The attempt whose output is shown: the one that runs or ran last. */
const toShownAttempt = (job: JobRecord): number =>
  job.state === 'pending' || isTerminal(job.state) ? (job.attempts.at(-1)?.attempt ?? job.attempt) : job.attempt;

/** The last 64 KiB of each stream. Costs nothing for a job that never ran. */
export const readTails = (logs: LogStore, job: JobRecord): Promise<Tails> =>
  job.epoch === 0 ? Promise.resolve(NO_TAILS) : logs.readTails(job.job_id, toShownAttempt(job), TAIL_BYTES);
