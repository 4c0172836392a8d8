import { type Cause, type JobState, LOCAL_USER } from '@berth/domain';
import type { Redis } from 'ioredis';
import { toFirstId } from './job-id.js';
import { type JobRecord, toJobRecord, type WireFormat } from './job-record.js';
import type { Keys } from './keys.js';

export interface JobFilter {
  state?: JobState;
  /** `name=value`, as it was submitted. */
  label?: string;
  name?: string;
  format?: WireFormat;
  user?: string;
  cause?: Cause;
  class?: string;
  /** A machine that it runs on, or that one of its attempts ran on. */
  node?: string;
  /** Unix milliseconds, the first included, the second not. Of an array's job: when it was made of the array. */
  created_after?: number;
  created_before?: number;
  finished_after?: number;
  finished_before?: number;
}

export interface JobPage {
  jobs: JobRecord[];
  /** The id to go on after, or null where the list has ended. A page may be shorter than asked for and still go on. */
  next: string | null;
}

/** So many entries of an index are looked at for one page at the most: what a page costs does not grow with the jobs. */
const SCAN_LIMIT = 2_000;
const BATCH = 50;

const isLabelled = (job: JobRecord, label: string): boolean => {
  const [name = '', ...value] = label.split('=');
  return job.spec.labels?.[name] === value.join('=');
};

const ranOn = (job: JobRecord, node: string): boolean =>
  job.node === node || job.attempts.some((attempt) => attempt.node === node);

const hasFinished = (job: JobRecord, { finished_after: from, finished_before: to }: JobFilter): boolean => {
  if (from === undefined && to === undefined) return true;
  const at = job.finished_at;
  return at !== null && at >= (from ?? 0) && at < (to ?? Number.POSITIVE_INFINITY);
};

const isEqual = <T>(wanted: T | undefined, value: T): boolean => wanted === undefined || wanted === value;

/** When it was created is in its id, and a matter of where the list begins and ends. */
const matches = (job: JobRecord, filter: JobFilter): boolean => {
  const { label, node } = filter;
  return (
    isEqual(filter.state, job.state) &&
    isEqual(filter.name, job.spec.name) &&
    isEqual(filter.format, job.format) &&
    isEqual(filter.user, job.user) &&
    isEqual<Cause | null>(filter.cause, job.cause) &&
    isEqual(filter.class, job.class) &&
    (label === undefined || isLabelled(job, label)) &&
    (node === undefined || ranOn(job, node)) &&
    hasFinished(job, filter)
  );
};

const toIndexes = (keys: Keys, filter: JobFilter): string[] => {
  const indexes: string[] = [];
  if (filter.label !== undefined) indexes.push(keys.jobsLabelled(filter.label));
  if (filter.name !== undefined) indexes.push(keys.jobsNamed(filter.name));
  if (filter.format && filter.format !== 'v1') indexes.push(keys.jobsOfFormat(filter.format));
  if (filter.user !== undefined && filter.user !== LOCAL_USER) indexes.push(keys.jobsOfUser(filter.user));
  if (filter.state) indexes.push(keys.jobsInState(filter.state));
  return indexes.length > 0 ? indexes : [keys.jobs];
};

type Range = [newest: string, oldest: string];

/** Ids begin with the time at which they were made. */
const toRange = ({ created_after, created_before }: JobFilter, after: string | undefined): Range => {
  const ends = [after, created_before === undefined ? undefined : toFirstId(created_before)];
  const [end] = ends.filter((id) => id !== undefined).sort();
  return [end === undefined ? '+' : `(${end}`, created_after === undefined ? '-' : `[${toFirstId(created_after)}`];
};

export const createJobList = (redis: Redis, keys: Keys) => {
  const readBatch = async (ids: string[]): Promise<(JobRecord | null)[]> =>
    Promise.all(ids.map(async (id) => toJobRecord(id, await redis.hgetall(keys.job(id)))));

  /** Of the indexes that apply, the shortest. */
  const pickIndex = async (filter: JobFilter): Promise<string> => {
    const indexes = toIndexes(keys, filter);
    const sizes = await Promise.all(indexes.map((index) => redis.zcard(index)));
    return indexes[sizes.indexOf(Math.min(...sizes))] ?? keys.jobs;
  };

  /** The jobs of an index, newest first; null for one that is gone. Ends by itself after SCAN_LIMIT. */
  async function* readIndex(index: string, [newest, oldest]: Range): AsyncGenerator<[string, JobRecord | null]> {
    let from = newest;
    for (let scanned = 0; scanned < SCAN_LIMIT; scanned += BATCH) {
      const ids = await redis.zrange(index, from, oldest, 'BYLEX', 'REV', 'LIMIT', 0, BATCH);
      const jobs = await readBatch(ids);
      yield* ids.map((id, i): [string, JobRecord | null] => [id, jobs[i] ?? null]);
      if (ids.length < BATCH) return;
      from = `(${ids.at(-1)}`;
    }
  }

  return {
    /** Newest first, beginning after (older than) the job `after`. */
    async list(filter: JobFilter, limit: number, after?: string): Promise<JobPage> {
      const jobs: JobRecord[] = [];
      let seen = after;
      let scanned = 0;
      for await (const [id, job] of readIndex(await pickIndex(filter), toRange(filter, after))) {
        if (jobs.length === limit) return { jobs, next: seen ?? null };
        seen = id;
        scanned += 1;
        if (job && matches(job, filter)) jobs.push(job);
      }
      return { jobs, next: scanned >= SCAN_LIMIT ? (seen ?? null) : null };
    },

    /** How many jobs there are in each state. */
    async countByState(states: readonly JobState[]): Promise<Record<JobState, number>> {
      const counts = await Promise.all(states.map((state) => redis.zcard(keys.jobsInState(state))));
      return Object.fromEntries(states.map((state, i) => [state, counts[i] ?? 0])) as Record<JobState, number>;
    },

    /** How many pending jobs of a class wait in the backlog, and for how many BullMQ holds a message. */
    async countQueued(className: string): Promise<{ backlog: number; dispatched: number }> {
      const [backlog, dispatched] = await Promise.all([
        redis.zcard(keys.backlog(className)),
        redis.zcard(keys.dispatched(className)),
      ]);
      return { backlog, dispatched };
    },

    /** When the oldest pending job was submitted, in Unix milliseconds. */
    async oldestPending(): Promise<JobRecord | null> {
      const [id] = await redis.zrange(keys.jobsInState('pending'), '-', '+', 'BYLEX', 'LIMIT', 0, 1);
      return id === undefined ? null : toJobRecord(id, await redis.hgetall(keys.job(id)));
    },
  };
};

export type JobList = ReturnType<typeof createJobList>;
