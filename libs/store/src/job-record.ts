import type { Cause, Evidence, JobSpec, JobState, Usage } from '@berth/domain';
import type { ArtifactSummary } from './files/artifact-manifest.js';
import { toSpec } from './spec-text.js';

/** Which wire format a job came in by; reads answer in the same one. */
export type WireFormat = 'v1' | 'coordinator' | 'workload' | 'orchestrator';

/** One ended epoch. Times are Unix milliseconds by the broker's clock. */
export interface AttemptRecord {
  attempt: number;
  epoch: number;
  node: string;
  image_digest: string | null;
  started_at: number | null;
  finished_at: number;
  exit_code: number | null;
  cause: Cause | null;
  message?: string;
  /** What was seen of the container's end. Null where none was: there was no container, or nobody was left to look. */
  evidence?: Evidence | null;
  /** What its container had used when it was last looked at. Absent: it ended too soon for a look. */
  usage?: Usage;
  /** What it left behind. Absent: the job asked for nothing, or its container was gone. */
  artifacts?: ArtifactSummary;
}

/** What the store knows of a job. Times are Unix milliseconds by the broker's clock. */
export interface JobRecord {
  job_id: string;
  state: JobState;
  class: string;
  /** Whose it is. */
  user: string;
  /** Where it waits in line: its user, or `*` where users share a queue. */
  bucket: string;
  /** See `toShapeText`. */
  shape: string;
  format: WireFormat;
  spec: JobSpec;
  /** The request as a kept wire format sent it, for its replies. */
  request: Record<string, unknown> | null;
  priority: number;
  created_at: number;
  /** When its state last changed, or someone asked to cancel it. */
  changed_at: number;
  /** Start of the present or last attempt's container. */
  started_at: number | null;
  first_started_at: number | null;
  finished_at: number | null;
  cause: Cause | null;
  exit_code: number | null;
  message: string | null;
  node: string | null;
  /** The worker that owns the present epoch. Null: nobody, until one of its machine adopts it. */
  owner: string | null;
  image_digest: string | null;
  epoch: number;
  /** The attempt that runs or comes next, from 1. */
  attempt: number;
  attempts: AttemptRecord[];
  cancel_requested: boolean;
  /** Not started again before this time: back-off after a failed attempt. */
  due_at: number | null;
  /** Someone asked for it not to be started for now. */
  held: boolean;
  /** The job that it runs once more. */
  requeued_from: string | null;
  /** How many of the jobs that it is to run after have not ended. */
  after_left: number;
  /** The array that it belongs to, and its place there. */
  array_id: string | null;
  array_index: number | null;
  /** The GPUs that its present epoch holds. */
  gpu_uuids: string[];
  /** What its running container has used so far. */
  usage: Usage | null;
}

type Fields = Record<string, string | undefined>;

const toNumber = (value: string | undefined): number | null =>
  value === undefined || value === '' ? null : Number(value);
const toText = (value: string | undefined): string | null => (value === undefined || value === '' ? null : value);

const toTurn = ({ user = 'local', bucket, shape = '' }: Fields) => ({ user, bucket: bucket || user, shape });

/** A job's hash as it stands in Redis, or null where there is none. */
export const toJobRecord = (job_id: string, fields: Fields): JobRecord | null => {
  if (fields.state === undefined || fields.spec === undefined) return null;
  return {
    job_id,
    state: fields.state as JobState,
    class: fields.class ?? '',
    ...toTurn(fields),
    format: (fields.format ?? 'v1') as WireFormat,
    spec: toSpec(fields.spec),
    request: fields.request ? (JSON.parse(fields.request) as Record<string, unknown>) : null,
    priority: Number(fields.priority),
    created_at: Number(fields.created_at),
    changed_at: Number(fields.changed_at ?? fields.created_at),
    started_at: toNumber(fields.started_at),
    first_started_at: toNumber(fields.first_started_at),
    finished_at: toNumber(fields.finished_at),
    cause: toText(fields.cause) as Cause | null,
    exit_code: toNumber(fields.exit_code),
    message: toText(fields.message),
    node: toText(fields.node),
    owner: toText(fields.owner),
    image_digest: toText(fields.image_digest),
    epoch: Number(fields.epoch ?? 0),
    attempt: Number(fields.attempt ?? 1),
    attempts: JSON.parse(`[${fields.attempts ?? ''}]`) as AttemptRecord[],
    cancel_requested: fields.intent === 'cancel',
    due_at: toNumber(fields.due_at),
    held: fields.hold !== undefined,
    requeued_from: fields.requeued_from ?? null,
    after_left: Number(fields.after_left ?? 0),
    array_id: fields.array_id ?? null,
    array_index: toNumber(fields.array_index),
    gpu_uuids: fields.gpu_uuids?.split(',') ?? [],
    usage: fields.usage ? (JSON.parse(fields.usage) as Usage) : null,
  };
};
