import type { Redis } from 'ioredis';
import { createAdoptions } from './adoptions.js';
import { createApiKeys } from './api-keys.js';
import { createArrayList } from './array-list.js';
import { createArrayStore } from './array-store.js';
import { createBacklog } from './backlog.js';
import { createBrokerPast, readWentBack } from './broker-past.js';
import { readBrokerState } from './broker-state.js';
import { createClaims } from './claims.js';
import { readJobTotals } from './counters.js';
import { createFairShares } from './fair-shares.js';
import { readInstallation } from './installation.js';
import { createJobControl } from './job-control.js';
import { createJobList } from './job-list.js';
import { createJobStore } from './job-store.js';
import { createKeys } from './keys.js';
import { createLogStore } from './log-store.js';
import { createNodeDrains } from './node-drains.js';
import { readPendingAsks } from './pending-asks.js';
import { createQuotas } from './quotas.js';
import { createRecount } from './recount.js';
import { createReservations } from './reservations.js';
import { createRetention } from './retention.js';
import { createScheduleStore } from './schedules.js';
import { createScripts } from './scripts.js';
import { createSights } from './snapshot.js';
import { upgradeRecords } from './upgrade.js';
import { createWorkerRegistry } from './worker-registry.js';

export * from './adoptions.js';
export * from './api-keys.js';
export * from './array-list.js';
export type { ArrayRecord } from './array-record.js';
export * from './array-store.js';
export * from './backlog.js';
export { toWentBackProblem } from './broker-past.js';
export * from './broker-state.js';
export * from './channels.js';
export * from './claims.js';
export * from './connection.js';
export * from './counters.js';
export * from './event-feed.js';
export * from './fair-shares.js';
export * from './job-control.js';
export * from './job-id.js';
export * from './job-list.js';
export * from './job-record.js';
export * from './job-store.js';
export { createKeys, type Keys } from './keys.js';
export * from './log-store.js';
export { type NewJob, toNewShape, toNoDependency } from './new-job.js';
export * from './node-drains.js';
export * from './quotas.js';
export * from './recount.js';
export * from './redis-url.js';
export * from './reservations.js';
export * from './schedules.js';
export * from './secret-paths.js';
export * from './snapshot.js';
export * from './unavailable.js';
export * from './worker-registry.js';

/** Everything that is kept about jobs and machines, over one connection. */
export const createStore = (redis: Redis, prefix: string) => {
  const keys = createKeys(prefix);
  const scripts = createScripts(redis, prefix);
  const workers = createWorkerRegistry(redis, keys);
  const past = createBrokerPast();
  const quotas = createQuotas(redis, keys, scripts);
  const reservations = createReservations(redis, keys, scripts);
  return {
    keys,
    jobs: createJobStore(redis, keys, scripts),
    list: createJobList(redis, keys),
    claims: createClaims(scripts, past),
    arrays: createArrayStore(redis, keys, scripts),
    arrayList: createArrayList(redis, keys),
    adoptions: createAdoptions(scripts, past),
    backlog: createBacklog(scripts),
    apiKeys: createApiKeys(redis, keys),
    logs: createLogStore(redis, keys, scripts),
    workers,
    drains: createNodeDrains(redis, keys, workers),
    control: createJobControl(scripts),
    quotas,
    shares: createFairShares(redis, keys, scripts),
    counts: createRecount(redis, keys, scripts),
    reservations,
    sights: createSights(redis, keys, { scripts, workers, reservations, quotas }),
    retention: createRetention(scripts),
    schedules: createScheduleStore(redis, keys, scripts),
    readTotals: () => readJobTotals(redis, keys),
    readPendingAsks: () => readPendingAsks(redis, keys),
    readBrokerState: () => readBrokerState(redis),
    readWentBack: () => readWentBack(scripts, past),
    /** Brings records of an earlier version up to this one: for whoever starts, before it does anything else. */
    upgrade: () => upgradeRecords({ redis, keys, scripts }),
    readInstallation: () => readInstallation(redis, keys),
    /** Throws where the broker does not answer. */
    ping: async (): Promise<void> => {
      await redis.ping();
    },
  };
};

export type Store = ReturnType<typeof createStore>;
