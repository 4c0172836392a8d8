import { Queue } from 'bullmq';
import type { Redis } from 'ioredis';

/** Finished messages are kept for people who read the board; the truth is in the record. */
const KEPT_ON_BOARD = { age: 7 * 24 * 3600, count: 1_000 };
const BULL_EVENTS_KEPT = 1_000;

/**
 * One BullMQ queue a resource class. `attempts: 1`, because retries are decided by the record. The connection is shared and stays
 * the caller's to close.
 */
export const openQueue = (className: string, redis: Redis, prefix: string): Queue => {
  const queue = new Queue(className, {
    connection: redis,
    prefix,
    streams: { events: { maxLen: BULL_EVENTS_KEPT } },
    defaultJobOptions: { attempts: 1, removeOnComplete: KEPT_ON_BOARD, removeOnFail: KEPT_ON_BOARD },
  });
  return queue;
};
