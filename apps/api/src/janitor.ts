import type { Logger } from 'pino';

const PERIOD_MS = 60_000;
const BATCH = 200;

interface JanitorOptions {
  /** Each removes up to so many of its kind, jobs say, that finished before the given Unix milliseconds; returns how many. */
  forgets: ((finished_before: number, limit: number) => Promise<number>)[];
  retentionSeconds: number;
  now: () => number;
  log: Logger;
}

/** Forgets finished jobs when their time is up. Every replica has one: forgetting twice is forgetting once. */
export const startJanitor = ({
  forgets,
  retentionSeconds,
  now,
  log,
}: JanitorOptions): { close: () => Promise<void> } => {
  let closed = false;
  let cleaning: Promise<void> = Promise.resolve();
  const clean = async (): Promise<void> => {
    const before = now() - retentionSeconds * 1000;
    let forgotten = 0;
    for (const forget of forgets) {
      for (let removed = BATCH; removed === BATCH && !closed; forgotten += removed)
        removed = await forget(before, BATCH);
    }
    if (forgotten > 0) log.info({ forgotten }, 'forgot finished jobs and arrays');
  };
  const timer = setInterval(() => {
    cleaning = clean().catch((err) => log.warn({ err }, 'could not forget finished jobs'));
  }, PERIOD_MS);
  return {
    async close() {
      closed = true;
      clearInterval(timer);
      await cleaning;
    },
  };
};
