import type { WorkerContext } from './context.js';
import { createLostJobs } from './lost-jobs.js';
import { RECONCILE_MS, reconcile } from './reconcile.js';

const EXPIRE_MS = 5_000;

/** What a worker does beside its jobs: removes containers that nobody should run, and takes jobs away from dead workers. */
export const startHousekeeping = async (context: WorkerContext): Promise<{ close(): void }> => {
  const { runtime, leases, store, redis, log } = context;
  const options = { runtime, leases, readJob: (id: string) => store.jobs.read(id), log };
  let suspects = await reconcile(options, new Set());
  const now = () => performance.now();
  const lostJobs = createLostJobs({ claims: store.claims, ping: store.ping, now, every_ms: EXPIRE_MS, log });
  redis.on('ready', lostJobs.interrupted);

  const pass = async (): Promise<void> => {
    suspects = await reconcile(options, suspects);
  };
  const every = (ms: number, what: string, work: () => Promise<void>) => {
    let working = false;
    return setInterval(async () => {
      if (working) return;
      working = true;
      await work().catch((err) => log.warn({ err }, `could not ${what}`));
      working = false;
    }, ms);
  };
  const timers = [every(RECONCILE_MS, 'reconcile', pass), every(EXPIRE_MS, 'look for lost jobs', lostJobs.take)];
  return {
    close() {
      redis.off('ready', lostJobs.interrupted);
      for (const timer of timers) clearInterval(timer);
    },
  };
};
