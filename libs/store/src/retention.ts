import { LOCAL_USER, type RetentionBook, retentionSchema } from '@berth/domain';
import type { Redis } from 'ioredis';
import type { Keys } from './keys.js';
import type { Scripts } from './scripts.js';

export const createRetention = (redis: Redis, keys: Keys, scripts: Scripts) => {
  const forgetJobs = async (job_ids: string[]): Promise<number> =>
    job_ids.length === 0 ? 0 : ((await scripts.run('forget', 'gone', 0, ...job_ids)) as number);

  return {
    /** Removes up to `limit` jobs that finished before the given Unix milliseconds, with their history and logs. */
    async forget(finished_before: number, limit = 200): Promise<number> {
      const ids = await redis.zrangebyscore(keys.finished, '-inf', finished_before, 'LIMIT', 0, limit);
      return forgetJobs(ids);
    },

    /** Removes these jobs where they have finished, in the same way. */
    forgetJobs,

    /** Whose these jobs are and when they ended, in Unix ms. Without those that are gone. */
    async readFinished(
      job_ids: string[],
    ): Promise<{ job_id: string; user: string; class: string; finished_at: number }[]> {
      const read = (job_id: string) => redis.hmget(keys.job(job_id), 'user', 'class', 'finished_at');
      const rows = await Promise.all(job_ids.map(read));
      return rows.flatMap(([user, name, finished_at], i) =>
        finished_at
          ? [
              {
                job_id: job_ids[i] ?? '',
                user: user ?? LOCAL_USER,
                class: name ?? '',
                finished_at: Number(finished_at),
              },
            ]
          : [],
      );
    },

    /** Who keeps what for how long, as far as anybody has said. */
    async readBook(): Promise<RetentionBook> {
      const text = await redis.get(keys.retention);
      return text === null ? {} : retentionSchema.parse(JSON.parse(text));
    },

    async setBook(book: RetentionBook): Promise<void> {
      await redis.set(keys.retention, JSON.stringify(book));
    },

    /** Whether it is up to the caller to look through these, as nobody else has within so many milliseconds. */
    async takeTurn(what: 'records' | 'files', period_ms: number): Promise<boolean> {
      return (await redis.set(keys.sweeping(what), '1', 'PX', period_ms, 'NX')) === 'OK';
    },

    /** The object in the file store was seen that marks it as this installation's. */
    noteMarked: (object: string) => redis.set(keys.filesMarked, object),

    /** The object that marks the file store. Null: it was never marked. */
    readMarked: (): Promise<string | null> => redis.get(keys.filesMarked),

    /** Removes arrays that ended before the given Unix milliseconds. */
    async forgetArrays(finished_before: number, limit = 200): Promise<number> {
      return (await scripts.run('forget-arrays', finished_before, limit)) as number;
    },
  };
};
