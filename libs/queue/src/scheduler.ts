import { Queue, Worker } from 'bullmq';
import type { Redis } from 'ioredis';
import { type Timing, toNextRuns } from './schedule-timing.js';

/** No class can have this name. */
const QUEUE = '_schedules';
/** A run that the broker or the API could not take is tried again for about two minutes. */
const RETRY = { attempts: 8, backoff: { type: 'exponential', delay: 1_000 } };
const KEPT = { count: 100 };

/** One time at which a schedule was due. The same one may come more than once. */
export interface Tick {
  schedule_id: string;
  /** When it was due, in Unix milliseconds. */
  due_at: number;
}

/**
 * Rings when schedules are due, on BullMQ's job schedulers: they live in Redis, and of all API processes one hears each tick. While no API
 * process runs none is heard; the first one that comes back hears the last that was missed, once.
 */
export interface Scheduler {
  /** Makes a schedule ring from now on at these times, whatever it did before. One that rings every so many seconds begins at once. */
  set(schedule_id: string, timing: Timing): Promise<void>;
  /** Makes it ring no more. Once is as good as twice. */
  clear(schedule_id: string): Promise<void>;
  isSet(schedule_id: string): Promise<boolean>;
  /** When it rings next, in Unix milliseconds, up to `count` times. Empty: it does not. */
  nextRuns(schedule_id: string, timing: Timing, count: number): Promise<number[]>;
  /** Begins to hear. A tick whose hearing rejects comes again. */
  listen(hear: (tick: Tick) => Promise<void>): void;
  close(): Promise<void>;
}

interface SchedulerOptions {
  /** For work that waits for the broker. */
  redis: Redis;
  prefix: string;
  onError: (error: Error) => void;
}

export const openScheduler = ({ redis, prefix, onError }: SchedulerOptions): Scheduler => {
  const queue = new Queue(QUEUE, { connection: redis, prefix });
  queue.on('error', onError);
  let worker: Worker | undefined;
  const toRepeat = (timing: Timing) =>
    timing.cron === undefined ? { every: timing.every_seconds * 1_000 } : { pattern: timing.cron, tz: timing.timezone };

  return {
    async set(schedule_id, timing) {
      const opts = { ...RETRY, removeOnComplete: KEPT, removeOnFail: KEPT };
      await queue.upsertJobScheduler(schedule_id, toRepeat(timing), { name: 'run', data: { schedule_id }, opts });
    },
    async clear(schedule_id) {
      await queue.removeJobScheduler(schedule_id);
    },
    async isSet(schedule_id) {
      return (await queue.getJobScheduler(schedule_id)) !== undefined;
    },
    async nextRuns(schedule_id, timing, count) {
      const next = (await queue.getJobScheduler(schedule_id))?.next;
      if (next === undefined || next === null) return [];
      if (timing.cron !== undefined) return toNextRuns(timing, next - 1, count);
      return Array.from({ length: count }, (_, i) => next + i * timing.every_seconds * 1_000);
    },
    listen(hear) {
      worker = new Worker(
        QUEUE,
        async ({ data, opts, timestamp }) => {
          await hear({ schedule_id: data.schedule_id, due_at: opts.prevMillis ?? timestamp });
        },
        { connection: redis, prefix, maxStalledCount: 1_000_000 },
      );
      worker.on('error', onError);
    },
    async close() {
      await Promise.all([worker?.close(true), queue.close()]);
    },
  };
};
