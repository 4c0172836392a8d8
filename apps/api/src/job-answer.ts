import { isTerminal, toRetryPolicy } from '@berth/domain';
import {
  type AttemptRecord,
  FilesUnavailable,
  type JobRecord,
  type LogStore,
  type LogTail,
  type Quotas,
} from '@berth/store';
import { toTailText } from './log-text.js';
import { findOverQuota, type OverQuota } from './over-quota.js';
import { type AttemptAnswer, type JobAnswer, type JobRow, toUsageAnswer } from './schemas/job.js';

const TAIL_BYTES = 64 * 1024;

interface Tails {
  stdout: LogTail;
  stderr: LogTail;
}

const NO_TAIL: LogTail = { bytes: Buffer.alloc(0), truncated: false };
const NO_TAILS: Tails = { stdout: NO_TAIL, stderr: NO_TAIL };
/** There is some, and it cannot be read now. */
const HIDDEN_TAIL: LogTail = { bytes: Buffer.alloc(0), truncated: true };
const HIDDEN_TAILS: Tails = { stdout: HIDDEN_TAIL, stderr: HIDDEN_TAIL };

const toTime = (ms: number): string => new Date(ms).toISOString();
const toOptionalTime = (ms: number | null): string | null => (ms === null ? null : toTime(ms));

const toArtifactsAnswer = ({ artifacts }: AttemptRecord): AttemptAnswer['artifacts'] => {
  if (!artifacts) return null;
  const { epoch: _, ...summary } = artifacts;
  return summary;
};

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
  artifacts: toArtifactsAnswer(attempt),
});

const toRuntime = (job: JobRecord, now_ms: number): number | null =>
  job.started_at === null ? null : Math.max(0, (job.finished_at ?? now_ms) - job.started_at);

const toQueueTime = (job: JobRecord, now_ms: number): number =>
  Math.max(0, (job.first_started_at ?? job.finished_at ?? now_ms) - job.created_at);

/** The first that has to go: a job that is held waits for a person, whatever else it waits for. */
const toWaitingFor = (job: JobRecord, over_quota: OverQuota): JobRow['waiting_for'] => {
  if (job.state !== 'pending') return null;
  if (job.held) return 'hold';
  if (job.after_left > 0) return 'dependencies';
  if (job.due_at !== null) return 'back_off';
  return over_quota.has(job.job_id) ? 'quota' : null;
};

/** A job as lists show it. */
const toJobRow = (job: JobRecord, over_quota: OverQuota, now_ms: number): JobRow => ({
  job_id: job.job_id,
  user: job.user,
  state: job.state,
  cause: job.cause,
  exit_code: job.exit_code,
  message: job.message,
  waiting_for: toWaitingFor(job, over_quota),
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

const toJobAnswer = (job: JobRecord, tails: Tails, over_quota: OverQuota, now_ms: number): JobAnswer => ({
  ...toJobRow(job, over_quota, now_ms),
  stdout: toTailText(tails.stdout.bytes, tails.stdout.truncated),
  stdout_truncated: tails.stdout.truncated,
  stderr: toTailText(tails.stderr.bytes, tails.stderr.truncated),
  stderr_truncated: tails.stderr.truncated,
});

/** The attempt whose output is shown: the one that runs or ran last. */
const toShownAttempt = (job: JobRecord): number =>
  job.state === 'pending' || isTerminal(job.state) ? (job.attempts.at(-1)?.attempt ?? job.attempt) : job.attempt;

/** The last 64 KiB of each stream. Costs nothing for a job that never ran. A file store that is away hides no job's state. */
const readTails = async (logs: LogStore, job: JobRecord): Promise<Tails> => {
  if (job.epoch === 0) return NO_TAILS;
  return logs.readTails(job.job_id, toShownAttempt(job), TAIL_BYTES).catch((error) => {
    if (error instanceof FilesUnavailable) return HIDDEN_TAILS;
    throw error;
  });
};

/** What a job that was just accepted is answered with. Whether a quota holds it back is not looked at: whoever reads it finds out. */
export const toAcceptedAnswer = (job: JobRecord, now_ms: number): JobAnswer =>
  toJobAnswer(job, NO_TAILS, new Set(), now_ms);

interface JobAnswersOptions {
  logs: LogStore;
  quotas: Pick<Quotas, 'readBook'>;
  now: () => number;
}

/** Answers with what does not stand in the record: the output, and whether a quota holds a job back now. */
export const createJobAnswers = ({ logs, quotas, now }: JobAnswersOptions) => ({
  async answer(job: JobRecord): Promise<JobAnswer> {
    const [tails, over_quota] = await Promise.all([readTails(logs, job), findOverQuota(quotas, [job])]);
    return toJobAnswer(job, tails, over_quota, now());
  },

  async list(jobs: JobRecord[]): Promise<JobRow[]> {
    const over_quota = await findOverQuota(quotas, jobs);
    return jobs.map((job) => toJobRow(job, over_quota, now()));
  },
});
