import { isTerminal } from '@berth/domain';
import type { Channels, JobRecord, LogStore } from '@berth/store';
import { createLogRing, type RingPlace } from './log-ring.js';
import { readPatiently } from './patience.js';
import { HEARTBEAT_MS } from './sse.js';
import type { Waiters } from './waiters.js';
import { createWake, type Wake } from './wake.js';

/** So much of a live log is held for all who follow it, and read at a time. */
const HELD_BYTES = 256 * 1024;
const PAGE_BYTES = 64 * 1024;

export interface FeedParts {
  logs: LogStore;
  channels: Channels;
  toChannel: (job_id: string) => string;
  waiters: Waiters;
  readJob: (job_id: string) => Promise<JobRecord | null>;
}

/** `behind`: what follows is not held, read it yourself. `end`: nothing more yet. `over`: nothing more ever. */
type Next = RingPlace | 'behind' | 'end' | 'over';

export interface LogFeed {
  /** Throws what the reading failed with. */
  next(last: string, number?: number): Next;
  /** Its reader has taken it. */
  take(place: RingPlace): void;
  /** Rings when there may be something new. */
  listen(ring: () => void): () => void;
  leave(): void;
}

/** Watches for a job's end. What the feed may have missed is looked up. */
const watchEnd = ({ waiters, readJob }: Pick<FeedParts, 'waiters' | 'readJob'>, job_id: string, wake: Wake) => {
  let uncertain = true;
  let ended = false;
  const close = waiters.listen(job_id, (event) => {
    if (event === 'resynced') uncertain = true;
    else ended ||= isTerminal(event.state);
    wake.ring();
  });
  const hasEnded = async (signal: AbortSignal): Promise<boolean> => {
    if (!uncertain || ended) return ended;
    uncertain = false;
    const job = await readPatiently(() => readJob(job_id), signal);
    ended ||= job === null || isTerminal(job.state);
    return ended;
  };
  return { hasEnded, close };
};

/**
 * Reads the live end of one log, once for all who follow it in this process, and holds its last pieces in a ring.
 *
 * It subscribes, notes where the log ends now, then looks whether the job has ended, reads, waits, reads again: what is written between a
 * read and a wait rings; what the job wrote last is read after its end was seen; a notice lost with a broken connection costs a
 * wait, never a piece. It reads ahead of the fastest reader by no more than the ring holds; one that the ring has overtaken reads by itself until it
 * has caught up.
 */
const openFeed = (job_id: string, { logs, channels, toChannel, ...watched }: FeedParts) => {
  const ring = createLogRing(HELD_BYTES);
  const closing = new AbortController();
  const { signal } = closing;
  const wake = createWake();
  const listeners = createListeners();
  /** `paused`: it holds as much as it may that nobody has taken. */
  const state = { begun: false, over: false, paused: false };
  let failure: { error: unknown } | undefined;

  /** True once there is nothing more at present. */
  const readOn = async (): Promise<boolean> => {
    for (state.paused = false; !state.paused && !signal.aborted; state.paused = ring.isFull) {
      const page = await readPatiently(() => logs.readAfter(job_id, ring.last, PAGE_BYTES), signal);
      if (page.length === 0) return true;
      page.forEach(ring.push);
      listeners.tell();
    }
    return false;
  };
  const run = async (): Promise<void> => {
    const end = watchEnd(watched, job_id, wake);
    let unsubscribe = (): void => {};
    try {
      unsubscribe = await channels.subscribe(toChannel(job_id), wake.ring);
      ring.begin(await readPatiently(() => logs.readEnd(job_id), signal));
      state.begun = true;
      listeners.tell();
      while (!state.over && !signal.aborted) {
        const ended = await end.hasEnded(signal);
        state.over = (await readOn()) && ended;
        if (!state.over) await wake.wait(HEARTBEAT_MS, signal);
      }
    } finally {
      unsubscribe();
      end.close();
    }
  };
  const running = run().catch((error) => {
    failure = { error };
  });
  void running.then(listeners.tell);
  const take = (place?: RingPlace): void => {
    ring.take(place);
    if (state.paused && !ring.isFull) wake.ring();
  };

  return {
    close: () => closing.abort(),
    get failed() {
      return failure !== undefined;
    },
    next(last: string, number?: number): Next {
      if (failure) throw failure.error;
      const next = state.begun ? ring.after(last, number) : 'end';
      // It has caught up by itself, and beyond what is held perhaps: it takes none of that, and waits for what follows.
      if (next === 'end' && state.paused) take();
      return next === 'end' && state.over ? 'over' : next;
    },
    take,
    listen: listeners.add,
  };
};

const createListeners = () => {
  const listeners = new Set<() => void>();
  return {
    tell(): void {
      for (const listener of [...listeners]) listener();
    },
    add(listener: () => void): () => void {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
};

/** One feed a followed job, for as long as somebody follows it. */
export const createLogFeeds = (parts: FeedParts) => {
  const open = new Map<string, { feed: ReturnType<typeof openFeed>; readers: number }>();
  return {
    join(job_id: string): LogFeed {
      const known = open.get(job_id);
      const shared = known && !known.feed.failed ? known : { feed: openFeed(job_id, parts), readers: 0 };
      open.set(job_id, shared);
      shared.readers += 1;
      const { next, take, listen } = shared.feed;
      const leave = (): void => {
        shared.readers -= 1;
        if (shared.readers > 0) return;
        shared.feed.close();
        if (open.get(job_id) === shared) open.delete(job_id);
      };
      return { next, take, listen, leave };
    },
  };
};
