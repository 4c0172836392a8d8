import { AppError, isTerminal } from '@berth/domain';
import type { EventFeed, FeedEvent, JobRecord } from '@berth/store';
import { readPatiently } from './patience.js';
import { linkSignals } from './stop-signal.js';
import { createWake } from './wake.js';

/** `resynced`: events may have been missed; look at the record again. */
type JobListener = (event: FeedEvent | 'resynced') => void;

export interface Waiters {
  /** Hears of one job's events. Returns what ends it. */
  listen(job_id: string, listener: JobListener): () => void;
  /** The job once it has ended, or as it stands when the time is up or `signal` aborts. Throws AppError `not_found`. */
  waitForEnd(job_id: string, limit: { timeout_ms: number; signal: AbortSignal }): Promise<JobRecord>;
  close(): void;
}

interface WaitersOptions {
  feed: EventFeed;
  readJob: (job_id: string) => Promise<JobRecord | null>;
}

/**
 * Long polls and streams over one subscription to the event feed. Whoever waits subscribes first, then reads the record, then
 * waits: an end between the two is heard, an end before them is read. No polling.
 */
export const createWaiters = ({ feed, readJob }: WaitersOptions): Waiters => {
  const byJob = new Map<string, Set<JobListener>>();
  const unsubscribe = feed.subscribe((event) => {
    if (event !== 'resynced') for (const listener of byJob.get(event.job_id) ?? []) listener(event);
    else for (const listeners of byJob.values()) for (const listener of listeners) listener(event);
  });

  const listen = (job_id: string, listener: JobListener): (() => void) => {
    const listeners = byJob.get(job_id) ?? new Set();
    byJob.set(job_id, listeners.add(listener));
    return () => {
      listeners.delete(listener);
      if (listeners.size === 0 && byJob.get(job_id) === listeners) byJob.delete(job_id);
    };
  };

  const waitForEnd: Waiters['waitForEnd'] = async (job_id, { timeout_ms, signal }) => {
    const over = linkSignals(signal);
    const timer = setTimeout(over.abort, timeout_ms);
    const wake = createWake();
    const leave = listen(job_id, (event) => {
      if (event === 'resynced' || isTerminal(event.state)) wake.ring();
    });
    try {
      for (let job = await readJob(job_id); ; job = await readPatiently(() => readJob(job_id), over.signal)) {
        if (!job) throw new AppError('not_found', 'There is no such job.');
        if (isTerminal(job.state) || over.signal.aborted) return job;
        await wake.wait(timeout_ms, over.signal);
      }
    } finally {
      leave();
      clearTimeout(timer);
      over.release();
    }
  };

  return { listen, waitForEnd, close: unsubscribe };
};
