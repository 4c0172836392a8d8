import type { JobState } from '@berth/domain';
import type { Redis } from 'ioredis';
import { type EndsBetween, walkFinished } from './finished-walk.js';
import type { Keys } from './keys.js';
import type { Scripts } from './scripts.js';

/** A finished job as it stands in Redis, whole: what `toJobRecord` and `toJobEvents` take. */
export interface StoredJob {
  job_id: string;
  fields: Record<string, string>;
  /** JSON, from the second event on. */
  events: string[];
  /** JSON: where its output is in the file store. */
  segments: string[];
  /** Some of its output is nowhere but in Redis. */
  output_here: boolean;
}

const NOTE_SECONDS = 60;
const LENT_SECONDS = 3600;

/**
 * In this order, and not in a transaction, which a full Redis refuses: output goes from the log to a segment, so where there was no log before, the
 * segments are all; and the job goes as a whole and never comes back, so where it is still there after the rest was read, the rest is all.
 */
const readStored = async (redis: Redis, keys: Keys, job_id: string): Promise<StoredJob[]> => {
  const [log, segments, events, fields] = await Promise.all([
    redis.exists(keys.log(job_id)),
    redis.lrange(keys.segments(job_id), 0, -1),
    redis.lrange(keys.history(job_id), 0, -1),
    redis.hgetall(keys.job(job_id)),
  ]);
  return fields.state === undefined ? [] : [{ job_id, fields, events, segments, output_here: log === 1 }];
};

const createLending = (redis: Redis, keys: Keys) => ({
  /** Whether its log can be read: the job is here, or its index is lent, and is so for another hour now. */
  async renewLent(job_id: string): Promise<'here' | 'lent' | 'gone'> {
    if ((await redis.exists(keys.job(job_id))) === 1) return 'here';
    return (await redis.expire(keys.segments(job_id), LENT_SECONDS)) === 1 ? 'lent' : 'gone';
  },

  /** For an hour, the log of a job that is not here is read as if it were. `segments`: as in StoredJob. */
  async lendSegments(job_id: string, segments: string[]): Promise<void> {
    if (segments.length === 0) return;
    const key = keys.segments(job_id);
    await redis
      .multi()
      .del(key)
      .rpush(key, ...segments)
      .expire(key, LENT_SECONDS)
      .exec();
  },
});

/** What it takes to move finished jobs elsewhere, and to speak of those that were moved. */
export const createArchiving = (redis: Redis, keys: Keys, scripts: Scripts) => ({
  /** How many finished jobs there are, and how many of them finished before the given Unix milliseconds. */
  async countFinished(finished_before: number): Promise<{ all: number; before: number }> {
    const counts = [redis.zcard(keys.finished), redis.zcount(keys.finished, '-inf', finished_before)] as const;
    const [all, before] = await Promise.all(counts);
    return { all, before };
  },

  /** Finished jobs by the time of their end, oldest first, after passing over so many. */
  findFinished: (skip: number, limit: number): Promise<string[]> =>
    redis.zrange(keys.finished, String(skip), String(skip + limit - 1)),

  walkFinished: (between: EndsBetween, user?: string): AsyncGenerator<string[]> =>
    walkFinished(redis, keys, between, user),

  /** Without those that are gone. */
  async readStored(job_ids: string[]): Promise<StoredJob[]> {
    return (await Promise.all(job_ids.map((job_id) => readStored(redis, keys, job_id)))).flat();
  },

  /**
   * Removes finished jobs that are kept elsewhere by now; returns how many were still here. A list that clients of a kept format read by
   * themselves stays for `seconds` more.
   */
  async removeArchived(job_ids: string[], seconds: number): Promise<number> {
    return job_ids.length === 0 ? 0 : ((await scripts.run('forget', 'archived', seconds, ...job_ids)) as number);
  },

  /** The newest job that was ever removed as archived, or null where none is known of. */
  readNewestArchived: (): Promise<string | null> => redis.get(keys.archivedNewest),

  /** Says that this job is archived, whoever removed it: after the broker was restored from a copy, say. */
  async noteArchived(job_id: string): Promise<void> {
    await scripts.run('note-archived', job_id);
  },

  ...createLending(redis, keys),

  /** For a minute, jobs that are not here count as ended so where another is to run after them. */
  async noteEnds(ended: { job_id: string; user: string; state: JobState }[]): Promise<void> {
    const notes = ended.map(({ job_id, user, state }) =>
      redis.set(keys.ended(job_id), `${state} ${user}`, 'EX', NOTE_SECONDS),
    );
    await Promise.all(notes);
  },
});

export type Archiving = ReturnType<typeof createArchiving>;
