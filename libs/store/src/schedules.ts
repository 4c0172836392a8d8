import type { Redis } from 'ioredis';
import type { Keys } from './keys.js';
import type { Scripts } from './scripts.js';

/** What happens when a schedule is due and its last job has not ended. */
export const OVERLAP_POLICIES = ['allow', 'skip', 'replace'] as const;
export type OverlapPolicy = (typeof OVERLAP_POLICIES)[number];

/** What became of a time at which a schedule was due. */
export interface ScheduleRun {
  /** Unix milliseconds. */
  due_at: number;
  /** The last job that the schedule submitted, at this time or, where `note` says why not, at one before. */
  job_id: string | null;
  note: string | null;
}

/** A job that is submitted again and again. Times are Unix milliseconds. */
export interface ScheduleRecord {
  schedule_id: string;
  user: string;
  name: string;
  /** One of `cron` (with `timezone`) and `every_seconds`. */
  cron: string | null;
  timezone: string;
  every_seconds: number | null;
  overlap: OverlapPolicy;
  paused: boolean;
  /** The body that a submit would have; it was checked. */
  job: Record<string, unknown>;
  created_at: number;
  last_run: ScheduleRun | null;
}

/** All but what became of it. */
export type ScheduleSettings = Omit<ScheduleRecord, 'last_run'>;

/** The records of schedules. When they are due is the queue's business. */
export const createScheduleStore = (redis: Redis, keys: Keys, scripts: Scripts) => ({
  /** A new one. */
  async write(schedule: ScheduleSettings): Promise<void> {
    await redis.hset(keys.schedules, schedule.schedule_id, JSON.stringify(schedule));
  },

  /** Changes one if it still is as it was read. False: somebody else has changed it since, or removed it. */
  async replace(before: ScheduleSettings, after: ScheduleSettings): Promise<boolean> {
    const texts = [before, after].map((one) => JSON.stringify(one));
    return (await scripts.run('replace-schedule', before.schedule_id, ...texts)) === 1;
  },

  /** Beside the record, so that a run that ends while somebody changes the schedule loses neither. */
  async writeRun(schedule_id: string, run: ScheduleRun): Promise<void> {
    await redis.hset(keys.scheduleRuns, schedule_id, JSON.stringify(run));
  },

  async read(schedule_id: string): Promise<ScheduleRecord | null> {
    const [text, run] = await Promise.all([
      redis.hget(keys.schedules, schedule_id),
      redis.hget(keys.scheduleRuns, schedule_id),
    ]);
    return text === null ? null : toRecord(text, run);
  },

  /** Oldest first. */
  async list(): Promise<ScheduleRecord[]> {
    const [all, runs] = await Promise.all([redis.hgetall(keys.schedules), redis.hgetall(keys.scheduleRuns)]);
    const records = Object.entries(all).map(([id, text]) => toRecord(text, runs[id] ?? null));
    return records.sort((a, b) => a.created_at - b.created_at || (a.schedule_id < b.schedule_id ? -1 : 1));
  },

  /** False: there was none. */
  async remove(schedule_id: string): Promise<boolean> {
    await redis.hdel(keys.scheduleRuns, schedule_id);
    return (await redis.hdel(keys.schedules, schedule_id)) === 1;
  },
});

const toRecord = (text: string, run: string | null): ScheduleRecord => ({
  ...(JSON.parse(text) as ScheduleSettings),
  last_run: run === null ? null : (JSON.parse(run) as ScheduleRun),
});

export type ScheduleStore = ReturnType<typeof createScheduleStore>;
