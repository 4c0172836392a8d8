import { isTerminal } from '@berth/domain';
import type { EventFeed, JobRecord } from '@berth/store';

export interface JobEnds {
  /** The job once it has ended, or null where it is gone or `signal` aborts first. Throws where the record cannot be read. */
  waitFor(job_id: string, signal: AbortSignal): Promise<JobRecord | null>;
  close(): Promise<void>;
}

interface JobEndsOptions {
  openFeed: () => Promise<EventFeed>;
  readJob: (job_id: string) => Promise<JobRecord | null>;
}

/**
 * Waits for jobs that somebody else runs. The feed of all events is opened when the first one is waited for: most workers never
 * need it. Whoever waits listens first and looks then, so an end between the two is heard.
 */
export const createJobEnds = ({ openFeed, readJob }: JobEndsOptions): JobEnds => {
  let feed: Promise<EventFeed> | undefined;

  const waitOn = ({ subscribe }: EventFeed, job_id: string, signal: AbortSignal): Promise<JobRecord | null> =>
    new Promise((resolve, reject) => {
      const abort = () => finish(() => resolve(null));
      const look = () =>
        readJob(job_id).then(
          (job) => (job === null || isTerminal(job.state)) && finish(() => resolve(job)),
          (error) => finish(() => reject(error)),
        );
      const leave = subscribe((event) => {
        if (event === 'resynced' || (event.job_id === job_id && isTerminal(event.state))) void look();
      });
      const finish = (settle: () => void): void => {
        leave();
        signal.removeEventListener('abort', abort);
        settle();
      };
      signal.addEventListener('abort', abort);
      if (signal.aborted) abort();
      else void look();
    });

  return {
    async waitFor(job_id, signal) {
      feed ??= openFeed();
      return waitOn(await feed, job_id, signal);
    },
    async close() {
      await (await feed)?.close();
    },
  };
};
