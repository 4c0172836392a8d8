import type { Redis } from 'ioredis';
import type { Keys } from './keys.js';

/** Longer than files may be kept after the longest wait and run (`MAX_AGE` is 3,650 days at most): files are removed by number. */
const KNOWN_SECONDS = 3_700 * 24 * 3600;
/** The format counts in 32 bits. */
export const MAX_JOB_NUMBER = 0xffff_ffff;

export interface NumberedJob {
  job_id: string;
  user: string;
}

/**
 * Small numbers for jobs, counted up from 1: the job orchestrator's clients know no other ids. A number is given out before its job is accepted, and says
 * whose it is even when the record is gone. One whose job was never accepted stands for a job that is not there, and is dropped, or
 * left behind by a crash until its time is up.
 */
export const createJobNumbers = (redis: Redis, keys: Keys) => ({
  async give({ job_id, user }: NumberedJob): Promise<number> {
    const number = await redis.incr(keys.lastJobNumber);
    await redis.set(keys.jobNumber(number), `${job_id} ${user}`, 'EX', KNOWN_SECONDS);
    return number;
  },

  async find(number: number): Promise<NumberedJob | null> {
    const [job_id, user] = (await redis.get(keys.jobNumber(number)))?.split(' ') ?? [];
    return job_id === undefined || user === undefined ? null : { job_id, user };
  },

  async drop(number: number): Promise<void> {
    await redis.del(keys.jobNumber(number));
  },

  /** How far a walk over all numbers has come, the last number there is, and those that it passed over and has to come back to. */
  async readWalk(): Promise<{ up_to: number; last: number; late: number[] }> {
    const [up_to, last] = await redis.mget(keys.jobNumbersWalked, keys.lastJobNumber);
    const late = await redis.smembers(keys.lateJobNumbers);
    return { up_to: Number(up_to ?? 0), last: Number(last ?? 0), late: late.map(Number) };
  },

  /** One that is to be come back to is noted before the walk is said to have passed it. */
  noteLate: (number: number) => redis.sadd(keys.lateJobNumbers, number),
  noteDone: (number: number) => redis.srem(keys.lateJobNumbers, number),
  noteWalked: (up_to: number) => redis.set(keys.jobNumbersWalked, up_to),
});

export type JobNumbers = ReturnType<typeof createJobNumbers>;
