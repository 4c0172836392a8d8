import type { Recount } from '@berth/store';
import type { Logger } from 'pino';
import { repeat } from './repeat.js';

/** Nothing is known to let the counters go wrong: this is for what is not known. */
const PERIOD_MS = 5 * 60_000;

interface RecountsOptions {
  counts: Recount;
  log: Logger;
}

/** Recounts now and then what users, classes and machines hold, and says loudly where a counter was wrong. Every replica does. */
export const startRecounts = ({ counts, log }: RecountsOptions): { close(): Promise<void> } => {
  let closed = false;
  const recount = async (): Promise<void> => {
    for (const wrong of await counts.recount(() => closed))
      log.error(wrong, 'a counter was wrong and has been put right');
  };
  const repeating = repeat(recount, { period_ms: PERIOD_MS, failure: 'could not recount', log });
  return {
    async close() {
      closed = true;
      await repeating.close();
    },
  };
};
