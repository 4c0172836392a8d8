import type { Store } from '@berth/store';
import type { Logger } from 'pino';
import { repeat } from './repeat.js';

const PERIOD_MS = 60_000;
const BATCH = 200;

interface ForgettingOptions {
  retention: Pick<Store['retention'], 'forgetArrays'>;
  /** Arrays are kept for so long from the end of their last job. */
  retentionSeconds: number;
  now: () => number;
  log: Logger;
}

/** Forgets arrays when their time is up; their jobs go by themselves. Every replica does it: forgetting twice is forgetting once. */
export const startForgettingArrays = ({ retention, retentionSeconds, now, log }: ForgettingOptions) => {
  const pass = async (): Promise<void> => {
    const before = now() - retentionSeconds * 1000;
    let forgotten = 0;
    for (let removed = BATCH; removed === BATCH; forgotten += removed) {
      removed = await retention.forgetArrays(before, BATCH);
    }
    if (forgotten > 0) log.info({ forgotten }, 'forgot arrays that ended');
  };
  return repeat(pass, { period_ms: PERIOD_MS, failure: 'could not forget arrays that ended', log });
};
