import { LEASE_MARGIN_MS, LEASE_MS } from '@berth/store';
import type { WorkerContext } from './context.js';
import { RECONCILE_MS, reconcile } from './reconcile.js';

const EXPIRE_MS = 5_000;

/**
 * What a worker does beside its jobs: removes containers that nobody should run, and takes jobs away from workers that have
 * stopped renewing. It judges others only after the broker has answered for longer than a lease: after an outage every lease
 * looks lapsed, and the living must have their chance to renew first.
 */
export const startHousekeeping = async (context: WorkerContext): Promise<{ close(): Promise<void> }> => {
  const { runtime, leases, store, redis, log } = context;
  const options = { runtime, leases, readJob: (id: string) => store.jobs.read(id), log };
  let suspects = await reconcile(options, new Set());
  let answeringSince = Date.now();
  redis.on('ready', () => {
    answeringSince = Date.now();
  });

  const pass = async (): Promise<void> => {
    suspects = await reconcile(options, suspects);
  };
  const expire = async (): Promise<void> => {
    if (Date.now() - answeringSince < LEASE_MS + LEASE_MARGIN_MS) return;
    const lost = await store.claims.expire();
    if (lost.length > 0) log.warn({ jobs: lost }, 'took jobs away from workers that stopped renewing');
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
  const timers = [every(RECONCILE_MS, 'reconcile', pass), every(EXPIRE_MS, 'look for lost jobs', expire)];
  return {
    async close() {
      for (const timer of timers) clearInterval(timer);
    },
  };
};
