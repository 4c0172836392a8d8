import { createHash } from 'node:crypto';
import { AppError, EVENT_MEANINGS, type JobEvent, type JobSpec, type JobState, type Resources } from '@berth/domain';
import type { Redis } from 'ioredis';
import { createJobId } from './job-id.js';
import { type JobRecord, toJobRecord, type WireFormat } from './job-record.js';
import type { Keys } from './keys.js';
import type { Scripts } from './scripts.js';

/** How long an Idempotency-Key stands for the job that it made. */
const IDEMPOTENCY_SECONDS = 24 * 3600;

/** A job to accept: checked, complete, and sorted into a class. */
export interface NewJob {
  spec: JobSpec;
  class: string;
  ask: Resources;
  format?: WireFormat;
  request?: Record<string, unknown>;
  /** Still pending after so long, it fails with cause `queue_timeout`. Absent: it waits for ever. */
  queue_timeout_seconds?: number;
  idempotency?: { key: string; body: string };
}

export type Accepted = { job_id: string; created_at: number; replayed: boolean };

export type CancelReply =
  | { kind: 'cancelled'; class: string; dispatch: number }
  | { kind: 'requested' }
  | { kind: 'finished'; state: JobState }
  | { kind: 'missing' };

export interface JobEventEntry extends JobEvent {
  meaning: string;
}

const sha256 = (text: string): string => createHash('sha256').update(text).digest('base64url');

const toLabelLines = (labels: Record<string, string>): string =>
  Object.entries(labels)
    .map(([name, value]) => `${name}=${value}`)
    .join('\n');

/** What the API asks of the record: accept, read, cancel. Claims and ends are in `claims.ts`, lists in `job-list.ts`. */
export const createJobStore = (redis: Redis, keys: Keys, scripts: Scripts) => ({
  /** Durable when it returns. Throws AppError `idempotency_key_reused` where the key stands for another body. */
  async accept(job: NewJob): Promise<Accepted> {
    const created_at = Date.now();
    const job_id = createJobId(created_at);
    const { spec, ask, idempotency } = job;
    const reply = (await scripts.run(
      'accept',
      job_id,
      created_at,
      job.class,
      ask.centicpus,
      ask.memory_mb,
      ask.gpus,
      spec.priority,
      job.format ?? 'v1',
      JSON.stringify(spec),
      spec.name ?? '',
      toLabelLines(spec.labels),
      idempotency ? sha256(idempotency.key) : '',
      idempotency ? sha256(idempotency.body) : '',
      IDEMPOTENCY_SECONDS,
      job.request ? JSON.stringify(job.request) : '',
      job.queue_timeout_seconds === undefined ? '' : job.queue_timeout_seconds * 1000,
    )) as [string, string?, string?];
    if (reply[0] === 'conflict') {
      throw new AppError(
        'idempotency_key_reused',
        'This Idempotency-Key was used with another body. Send the same body again, or use a new key.',
      );
    }
    const [kind, known_id = job_id, known_at = created_at] = reply;
    return { job_id: known_id, created_at: Number(known_at), replayed: kind === 'replayed' };
  },

  async read(job_id: string): Promise<JobRecord | null> {
    return toJobRecord(job_id, await redis.hgetall(keys.job(job_id)));
  },

  /** In the order of the ids, without those that are gone. */
  async readMany(job_ids: string[]): Promise<JobRecord[]> {
    const records = await Promise.all(job_ids.map((id) => this.read(id)));
    return records.filter((record) => record !== null);
  },

  async cancel(job_id: string): Promise<CancelReply> {
    const [kind, second, third] = (await scripts.run('cancel', job_id)) as [string, string?, string?];
    if (kind === 'cancelled') return { kind, class: second ?? '', dispatch: Number(third) };
    if (kind === 'finished') return { kind, state: second as JobState };
    return kind === 'requested' ? { kind } : { kind: 'missing' };
  },

  /** The job's events after the given sequence number, oldest first. Empty for a job that is not there. */
  readHistory: (job_id: string, after_seq = 0): Promise<JobEventEntry[]> =>
    readHistory(redis, keys, { job_id, after_seq }),
});

export type JobStore = ReturnType<typeof createJobStore>;

const readHistory = async (redis: Redis, keys: Keys, from: { job_id: string; after_seq: number }) => {
  const { job_id, after_seq } = from;
  const [created_at, entries] = await Promise.all([
    after_seq === 0 ? redis.hget(keys.job(job_id), 'created_at') : null,
    redis.lrange(keys.history(job_id), Math.max(0, after_seq - 1), -1),
  ]);
  const kept = entries.map((entry) => JSON.parse(entry) as JobEvent);
  return [...(created_at === null ? [] : [toSubmitted(Number(created_at))]), ...kept].map(toEventEntry);
};

/** The first event of every job; `accept.lua` announces the same. */
const toSubmitted = (at: number): JobEvent => ({ seq: 1, type: 'submitted', at, state: 'pending', data: {} });

const toEventEntry = (event: JobEvent): JobEventEntry => ({ ...event, meaning: EVENT_MEANINGS[event.type] });
