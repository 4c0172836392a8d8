import { setTimeout as sleep } from 'node:timers/promises';

export interface Patience {
  timeout_ms: number;
  interval_ms?: number;
  /** Read before each try; true gives up at once. */
  giveUp?: () => boolean;
}

/** Asks again and again until the answer is true. Returns false when the time is up or `giveUp` says so. */
export const waitUntil = async (check: () => Promise<boolean> | boolean, patience: Patience): Promise<boolean> => {
  const end = Date.now() + patience.timeout_ms;
  while (Date.now() < end && !patience.giveUp?.()) {
    if (await check()) return true;
    await sleep(patience.interval_ms ?? 25);
  }
  return false;
};

/** Settles as `work` does, or with `late()` after `ms`. The work itself is not stopped. */
export const within = async <T>(ms: number, work: Promise<T>, late: () => T): Promise<T> => {
  const timer = new AbortController();
  const timeout = sleep(ms, undefined, { signal: timer.signal }).then(late);
  timeout.catch(() => {});
  try {
    return await Promise.race([work, timeout]);
  } finally {
    timer.abort();
  }
};
