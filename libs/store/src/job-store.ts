import { EVENT_MEANINGS, type JobEvent, type JobState, LOCAL_USER } from '@berth/domain';
import type { Redis } from 'ioredis';
import { createJobId, toIdTime } from './job-id.js';
import { type JobRecord, toJobRecord } from './job-record.js';
import type { Keys } from './keys.js';
import {
  type NewJob,
  type SubmitReply,
  throwIfRefused,
  toAfterArguments,
  toBucket,
  toHold,
  toIdempotencyArguments,
  toLabelLines,
  toNewShape,
  toPatience,
} from './new-job.js';
import type { Scripts } from './scripts.js';
import { toSpecText } from './spec-text.js';

export interface Accepted {
  job_id: string;
  created_at: number;
  replayed: boolean;
  /** How many of the jobs that it is to run after have not ended. */
  after_left: number;
  /** It could never run, so it has ended already: look at the record. */
  ended: boolean;
}

export type CancelReply =
  | { kind: 'cancelled'; class: string; ticket: string | null }
  | { kind: 'requested' }
  | { kind: 'finished'; state: JobState }
  | { kind: 'missing' };

export interface JobEventEntry extends JobEvent {
  meaning: string;
}

/** What the API asks of the record: accept, read, cancel. Claims and ends are in `claims.ts`, lists in `job-list.ts`. */
export const createJobStore = (redis: Redis, keys: Keys, scripts: Scripts) => ({
  /**
   * Durable when it returns. Throws AppError `idempotency_key_reused` where the key stands for another body, `over_quota`
   * where one of its groups may not have more pending jobs, `dependency_not_found` where a job that it is to run after is not there,
   * `input_not_found` where a file is not that it takes in; from here on, until it has ended, nobody removes those.
   */
  async accept(job: NewJob): Promise<Accepted> {
    const { spec, ask, job_id = createJobId(Date.now()) } = job;
    const created_at = toIdTime(job_id);
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
      toSpecText(spec),
      spec.name ?? '',
      toLabelLines(spec.labels),
      ...toIdempotencyArguments(job),
      job.request ? JSON.stringify(job.request) : '',
      toPatience(job),
      job.user ?? LOCAL_USER,
      toNewShape(job),
      toBucket(job),
      toHold(job),
      job.requeued_from ?? '',
      ...toAfterArguments(spec.after),
    )) as SubmitReply;
    throwIfRefused(reply, spec);
    if (reply[0] === 'replayed') {
      return { job_id: reply[1] ?? '', created_at: Number(reply[2]), replayed: true, after_left: 0, ended: false };
    }
    const [kind, after_left] = reply;
    return { job_id, created_at, replayed: false, after_left: Number(after_left ?? 0), ended: kind === 'cancelled' };
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
    if (kind === 'cancelled') return { kind, class: second ?? '', ticket: third || null };
    if (kind === 'finished') return { kind, state: second as JobState };
    return kind === 'requested' ? { kind } : { kind: 'missing' };
  },

  /** The job's events after the given sequence number, oldest first. Empty for a job that is not there. */
  readHistory: (job_id: string, after_seq = 0): Promise<JobEventEntry[]> =>
    readHistory(redis, keys, { job_id, after_seq }),
});

export type JobStore = ReturnType<typeof createJobStore>;

/** The record last: it goes with its events, so where it is still there, the events that were read before are all. */
const readHistory = async (redis: Redis, keys: Keys, from: { job_id: string; after_seq: number }) => {
  const { job_id, after_seq } = from;
  const [entries, created_at] = await Promise.all([
    redis.lrange(keys.history(job_id), Math.max(0, after_seq - 1), -1),
    redis.hget(keys.job(job_id), 'created_at'),
  ]);
  return created_at === null ? [] : toJobEvents(after_seq > 0 ? null : Number(created_at), entries);
};

/** A job's history from what is kept of it: JSON from its second event on. `created_at`: null to leave the first one out. */
export const toJobEvents = (created_at: number | null, entries: string[]): JobEventEntry[] => {
  const kept = entries.map((entry) => JSON.parse(entry) as JobEvent);
  return [...(created_at === null ? [] : [toSubmitted(created_at)]), ...kept].map(toEventEntry);
};

/** The first event of every job; `accept.lua` announces the same. */
const toSubmitted = (at: number): JobEvent => ({ seq: 1, type: 'submitted', at, state: 'pending', data: {} });

const toEventEntry = (event: JobEvent): JobEventEntry => ({ ...event, meaning: EVENT_MEANINGS[event.type] });
