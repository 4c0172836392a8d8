import { LEASE_MARGIN_MS, LEASE_MS } from '@berth/store';
import type { WorkerContext } from './context.js';
import { createDeadlineClock } from './deadline-clock.js';
import type { SignOfLife } from './pulse.js';
import { RECONCILE_MS, reconcile } from './reconcile.js';
import { every } from './waiting.js';

const EXPIRE_MS = 5_000;
const LEFTOVERS_MS = 300_000;

export interface HousekeepingOptions {
  context: WorkerContext;
  pulse: SignOfLife;
  /** Takes over what others of the engine have left. */
  adopt: () => Promise<void>;
}

/** What a worker does beside its jobs: adopts, removes containers that nobody should run, takes jobs away from dead machines. */
export const startHousekeeping = async ({ context, pulse, adopt }: HousekeepingOptions): Promise<{ close(): void }> => {
  const { runtime, leases, store, gate, log } = context;
  const options = { runtime, leases, readJob: (id: string) => store.jobs.read(id), clock: createDeadlineClock(), log };
  await adopt();
  let suspects = await reconcile(options, new Set());

  const pass = async (): Promise<void> => {
    await adopt();
    suspects = await reconcile(options, suspects);
  };
  const expire = async (): Promise<void> => {
    // The living must have had their chance to renew.
    if (pulse.steadyFor() < LEASE_MS + LEASE_MARGIN_MS) return;
    const lost = await store.claims.expire(pulse.brokerTime);
    if (lost.length > 0) log.warn({ jobs: lost }, 'took jobs away from workers that stopped renewing');
  };
  const clean = async (): Promise<void> => {
    const count = await runtime.removeLeftovers();
    if (count > 0) log.warn({ count }, 'removed volumes whose containers somebody has removed');
  };
  const saying = (what: string, work: () => Promise<void>) => () =>
    work().catch((err) => log.warn({ err }, `could not ${what}`));
  // A look out of turn: what is superfluous is only removed by the regular passes, some time apart.
  const look = async (): Promise<void> => {
    await adopt();
    await reconcile(options, new Set());
  };
  gate.onBack = () => void saying('reconcile', look)();
  const timers = [
    every(RECONCILE_MS, saying('reconcile', pass)),
    every(EXPIRE_MS, saying('look for lost jobs', expire)),
    every(LEFTOVERS_MS, saying('remove what containers have left', clean)),
  ];
  return {
    close() {
      gate.onBack = undefined;
      for (const timer of timers) clearInterval(timer);
    },
  };
};
