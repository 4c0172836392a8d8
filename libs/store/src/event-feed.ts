import type { EventType, JobEvent, JobState } from '@berth/domain';
import type { Redis } from 'ioredis';
import type { Keys } from './keys.js';

export interface FeedEvent extends JobEvent {
  job_id: string;
  class: string;
  /** The array that the job belongs to. */
  array_id?: string;
}

/** `resynced`: events may have been missed; look at the record again. */
export type FeedListener = (event: FeedEvent | 'resynced') => void;

export interface EventFeed {
  /** Returns what ends the subscription. Listeners must not throw. */
  subscribe(listener: FeedListener): () => void;
  close(): Promise<void>;
}

type StreamReply = [string, [string, string[]][]][] | null;

const BLOCK_MS = 5_000;
const RETRY_MS = 200;

const toFeedEvent = (fields: string[]): FeedEvent => {
  const map = Object.fromEntries(fields.map((field, i) => [field, fields[i + 1] ?? '']).filter((_, i) => i % 2 === 0));
  return {
    job_id: map.job ?? '',
    class: map.class ?? '',
    ...(map.array === undefined ? {} : { array_id: map.array }),
    seq: Number(map.seq),
    type: map.type as EventType,
    at: Number(map.at),
    state: map.state as JobState,
    data: JSON.parse(map.data ?? '{}') as Record<string, unknown>,
  };
};

/**
 * One reader of the stream of all events for a whole process, fanned out in memory: a thousand waiting clients cost Redis one
 * blocked connection. It carries on after the last event it saw, so a broken connection loses nothing that the stream still
 * holds; after each break it says `resynced` all the same, because the stream is bounded. ioredis connects again and repeats
 * the cut read by itself, so a break shows only as another `ready`; an error on a living connection (LOADING, say) shows here.
 */
export const openEventFeed = async (redis: Redis, keys: Keys): Promise<EventFeed> => {
  const listeners = new Set<FeedListener>();
  let closed = false;
  const emit = (event: FeedEvent | 'resynced') => {
    for (const listener of listeners) listener(event);
  };
  const readLast = async (): Promise<string> => {
    const [last] = await redis.xrevrange(keys.events, '+', '-', 'COUNT', 1);
    return last?.[0] ?? '0-0';
  };

  const readNext = async (last: string, block_ms: number): Promise<string> => {
    const reply = (await redis.xread('COUNT', 500, 'BLOCK', block_ms, 'STREAMS', keys.events, last)) as StreamReply;
    const entries = reply?.[0]?.[1] ?? [];
    for (const [, fields] of entries) emit(toFeedEvent(fields));
    return entries.at(-1)?.[0] ?? last;
  };

  const follow = async (start: string): Promise<void> => {
    let broken = false;
    for (let last = start; !closed; ) {
      try {
        last = await readNext(last, broken ? 1 : BLOCK_MS);
        if (broken) emit('resynced');
        broken = false;
      } catch {
        broken = true;
        if (!closed) await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
      }
    }
  };

  const start = await readLast();
  const resync = () => emit('resynced');
  redis.on('ready', resync);
  const following = follow(start);
  return {
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    async close() {
      closed = true;
      redis.off('ready', resync);
      redis.disconnect();
      await following;
    },
  };
};
