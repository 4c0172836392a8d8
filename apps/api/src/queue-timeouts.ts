import type { Backlog } from '@berth/store';
import type { Logger } from 'pino';
import { repeat } from './repeat.js';

const PERIOD_MS = 2_000;
const BATCH = 100;

interface QueueTimeoutsOptions {
  backlog: Pick<Backlog, 'failOverdue'>;
  /** Says that a pending job has ended, whose message may still be on its way. Must return at once. */
  onFailed: (className: string, ticket: string) => void;
  log: Logger;
}

export interface QueueTimeouts {
  /** Fails what has waited too long, at once; returns how many. */
  pass(): Promise<number>;
  close(): Promise<void>;
}

/** Ends jobs that have waited longer than they may. Every replica does: the record takes each end once. */
export const startQueueTimeouts = ({ backlog, onFailed, log }: QueueTimeoutsOptions): QueueTimeouts => {
  const pass = async (): Promise<number> => {
    for (let count = 0; ; ) {
      const failed = await backlog.failOverdue(BATCH);
      for (const { class: className, ticket } of failed) if (ticket !== null) onFailed(className, ticket);
      count += failed.length;
      if (failed.length < BATCH) return count;
    }
  };
  return { pass, ...repeat(pass, { period_ms: PERIOD_MS, failure: 'could not end jobs that waited too long', log }) };
};
