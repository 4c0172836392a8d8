import { type ArrayAsk, type JobState, LOCAL_USER, toArrayWindow } from '@berth/domain';
import type { Redis } from 'ioredis';
import { type ArrayRecord, toArrayRecord } from './array-record.js';
import { createJobId, toIdTime } from './job-id.js';
import type { Keys } from './keys.js';
import {
  type NewJob,
  type SubmitReply,
  throwIfRefused,
  toAfterArguments,
  toIdempotencyArguments,
  toLabelLines,
  toNewShape,
  toNoInput,
  toPatience,
} from './new-job.js';
import type { Scripts } from './scripts.js';
import { toSpecText } from './spec-text.js';

/** What each job of the array is, and how many there are. */
export interface NewArray {
  job: NewJob;
  array: ArrayAsk;
}

export interface Expansion {
  made: number;
  /** There may be room for more at once. */
  more: boolean;
}

export type ArrayCancelReply =
  | { kind: 'cancelled'; left: number; class: string; tickets: string[] }
  | { kind: 'finished'; state: JobState }
  | { kind: 'missing' };

/** Each script makes or cancels so many jobs at a time: a few milliseconds of the broker's. */
const STEP = 32;

const toFreshIds = (count: number): string[] => {
  const now = Date.now();
  return Array.from({ length: count }, () => createJobId(now));
};

/** Each of the jobs counts against the array's own quota, which is how `max_running` is kept. */
const toArrayJob = ({ job, array }: NewArray, array_id: string): NewJob =>
  array.max_running === undefined ? job : { ...job, groups: [...(job.groups ?? []), `array/${array_id}`] };

/** The values go as one text: a call takes fewer arguments than there may be values. */
const toArguments = ({ job, array }: NewArray, array_id: string, created_at: number): (string | number)[] => {
  const { spec, ask } = job;
  const { after, ...common } = spec;
  return [
    array_id,
    created_at,
    job.class,
    ask.centicpus,
    ask.memory_mb,
    ask.gpus,
    spec.priority,
    toSpecText(common),
    spec.name ?? '',
    toLabelLines(spec.labels),
    ...toIdempotencyArguments(job),
    toPatience(job),
    job.user ?? LOCAL_USER,
    toNewShape(toArrayJob({ job, array }, array_id)),
    job.across_users ? '*' : '',
    array.values?.length ?? array.size ?? 0,
    array.max_running ?? '',
    toArrayWindow(array.max_running),
    after?.length ?? 0,
    ...toAfterArguments(after),
    JSON.stringify(array.values ?? []),
  ];
};

/** Arrays: each call is one script. Lists are in `array-list.ts`. */
export const createArrayStore = (redis: Redis, keys: Keys, scripts: Scripts) => ({
  /** Durable when it returns. Throws as `JobStore.accept` does. */
  async add(array: NewArray): Promise<{ array_id: string; replayed: boolean }> {
    const { job_id: array_id = createJobId(Date.now()) } = array.job;
    const reply = (await scripts.run('add-array', ...toArguments(array, array_id, toIdTime(array_id)))) as SubmitReply;
    throwIfRefused(reply, array.job.spec);
    return reply[0] === 'replayed' ? { array_id: reply[1] ?? '', replayed: true } : { array_id, replayed: false };
  },

  async read(array_id: string): Promise<ArrayRecord | null> {
    return toArrayRecord(array_id, await redis.hgetall(keys.array(array_id)));
  },

  /** Arrays that may have room for more jobs. */
  findReady: (): Promise<string[]> => redis.smembers(keys.arraysReady),

  /** Arrays whose jobs somebody has begun to cancel. */
  findCancelling: (): Promise<string[]> => redis.smembers(keys.arraysCancelling),

  /** Makes jobs of some of the indices that are none yet. Several may do so at once. A repeat with the same ids makes none. */
  async expand(array_id: string, limit = STEP, ids: string[] = toFreshIds(limit)): Promise<Expansion> {
    const [made, more] = (await scripts.run('expand', array_id, ...ids)) as [number, number];
    return { made, more: more === 1 };
  },

  /** Cancels some of its jobs; `begin` also what is not a job yet. Whoever begins goes on until none is left. */
  async cancel(array_id: string, how: 'begin' | 'go on', limit = STEP): Promise<ArrayCancelReply> {
    const reply = (await scripts.run('cancel-array', array_id, limit, how)) as [string, ...(string | number)[]];
    const [kind, second, className, ...tickets] = reply;
    if (kind === 'missing') return { kind };
    if (kind === 'finished') return { kind, state: second as JobState };
    return { kind: 'cancelled', left: Number(second), class: String(className), tickets: tickets.map(String) };
  },

  /**
   * Has the failed indices run again; returns how many there are, or null where there is no such array. Throws AppError `input_not_found` where
   * its files were removed since.
   */
  async rerun(array_id: string): Promise<number | null> {
    const reply = (await scripts.run('rerun-array', array_id)) as number | SubmitReply;
    if (typeof reply === 'number') return reply < 0 ? null : reply;
    throw toNoInput((await this.read(array_id))?.spec.inputs, reply.slice(1));
  },
});

export type ArrayStore = ReturnType<typeof createArrayStore>;
