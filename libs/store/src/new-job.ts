import { createHash } from 'node:crypto';
import {
  AppError,
  type Dependency,
  type JobSpec,
  LOCAL_USER,
  type Resources,
  toJobShape,
  toShapeText,
} from '@berth/domain';
import type { WireFormat } from './job-record.js';

/** How long an Idempotency-Key stands for the job or array that it made. */
const IDEMPOTENCY_SECONDS = 24 * 3600;

/** A job to accept: checked, complete, and sorted into a class. */
export interface NewJob {
  spec: JobSpec;
  class: string;
  ask: Resources;
  /** Made with `createJobId`. Default: a new one. */
  job_id?: string;
  /** Default: the one user of an installation without keys. */
  user?: string;
  /** Quotas that it counts against, beside those of its user and class. */
  groups?: string[];
  /** Who stands in line for it, and whose use it adds to, where that is not its user. Nobody can be called so: see `toServiceUser`. */
  bucket?: string;
  /** The class orders priority across users, and not their fair shares. */
  across_users?: boolean;
  /** Not to be started until someone releases it. */
  hold?: boolean;
  /** Accepted all the same, but it ends at once, cancelled, and this is its message. */
  never?: string;
  /** The finished job that it runs once more. */
  requeued_from?: string;
  format?: WireFormat;
  request?: Record<string, unknown>;
  /** Still pending after so long, it fails with cause `queue_timeout`. Absent: it waits for ever. */
  queue_timeout_seconds?: number;
  idempotency?: { key: string; body: string };
}

/** Where users do not come one after the other, or others for them, a job's quotas as its user's do not follow from the place where it waits. */
const toOwnGroups = ({ user = LOCAL_USER, class: className, across_users, bucket, groups = [] }: NewJob): string[] =>
  across_users || bucket !== undefined ? [`user/${user}`, `user/${user}/class/${className}`, ...groups] : groups;

export const toNewShape = (job: NewJob): string =>
  toShapeText({ ...toJobShape(job.spec, toOwnGroups(job)), ask: job.ask });

export const toBucket = ({ across_users, bucket = '' }: NewJob): string => (across_users ? '*' : bucket);

export const toHold = ({ hold, never }: NewJob): string => {
  if (never !== undefined) return `never ${never}`;
  return hold ? 'hold' : '';
};

const sha256 = (text: string): string => createHash('sha256').update(text).digest('base64url');

/** Hashes of the key and of the body, and how long they are kept. */
export const toIdempotencyArguments = ({ idempotency }: NewJob): [string, string, number] =>
  idempotency
    ? [sha256(idempotency.key), sha256(idempotency.body), IDEMPOTENCY_SECONDS]
    : ['', '', IDEMPOTENCY_SECONDS];

export const toLabelLines = (labels: Record<string, string>): string =>
  Object.entries(labels)
    .map(([name, value]) => `${name}=${value}`)
    .join('\n');

export const toPatience = ({ queue_timeout_seconds: seconds }: NewJob): number | '' =>
  seconds === undefined ? '' : seconds * 1000;

export const toAfterArguments = (after: Dependency[] = []): string[] =>
  after.flatMap(({ job, condition }) => [job, condition]);

const PENDING_RETRY_SECONDS = 10;

const toOverQuota = ([, group = '', pending, limit]: (string | undefined)[]): AppError =>
  new AppError(
    'over_quota',
    `${group} has ${pending} pending jobs and may have ${limit}. Submit again when some of them have started, or ask for a larger quota.`,
    { details: { group, retry_after_seconds: PENDING_RETRY_SECONDS } },
  );

/** `place`: of the dependency that is not there, from 0. */
export const toNoDependency = (place: number): AppError =>
  new AppError(
    'dependency_not_found',
    'A job that it is to run after is not there: it never was, or it is forgotten.',
    {
      problems: [{ path: `$.after[${place}].job`, message: 'is not a job or an array of yours' }],
    },
  );

/** Names each place of `missing`, the ids of files that are not there. */
export const toNoInput = (inputs: JobSpec['inputs'] = [], missing: readonly unknown[]): AppError =>
  new AppError(
    'input_not_found',
    'An input is not there: it was never uploaded, or it was removed. Upload it with PUT /v1/files and submit again.',
    {
      problems: inputs.flatMap(({ file_id }, i) =>
        missing.includes(file_id) ? [{ path: `$.inputs[${i}].file_id`, message: 'is not a file of yours' }] : [],
      ),
    },
  );

export type SubmitReply = [string, string?, string?, string?, ...string[]];

/** What a script answers that refuses, as the caller's fault. */
export const throwIfRefused = (reply: SubmitReply, { inputs }: Pick<JobSpec, 'inputs'>): void => {
  if (reply[0] === 'over_quota') throw toOverQuota(reply);
  if (reply[0] === 'no_dependency') throw toNoDependency(Number(reply[1]));
  if (reply[0] === 'no_input') throw toNoInput(inputs, reply.slice(1));
  if (reply[0] === 'conflict') {
    throw new AppError(
      'idempotency_key_reused',
      'This Idempotency-Key was used with another body. Send the same body again, or use a new key.',
    );
  }
};
