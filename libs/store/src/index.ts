import type { Redis } from 'ioredis';
import { createAdoptions } from './adoptions.js';
import { createBacklog } from './backlog.js';
import { createBrokerPast, readWentBack } from './broker-past.js';
import { readBrokerState } from './broker-state.js';
import { createClaims } from './claims.js';
import { readJobTotals } from './counters.js';
import { readInstallation } from './installation.js';
import { createJobList } from './job-list.js';
import { createJobStore } from './job-store.js';
import { createKeys } from './keys.js';
import { createLogStore } from './log-store.js';
import { readPendingAsks } from './pending-asks.js';
import { createRetention } from './retention.js';
import { createScripts } from './scripts.js';
import { createWorkerRegistry } from './worker-registry.js';

export * from './adoptions.js';
export * from './backlog.js';
export { toWentBackProblem } from './broker-past.js';
export * from './broker-state.js';
export * from './channels.js';
export * from './claims.js';
export * from './connection.js';
export * from './counters.js';
export * from './event-feed.js';
export * from './job-id.js';
export * from './job-list.js';
export * from './job-record.js';
export * from './job-store.js';
export { createKeys, type Keys } from './keys.js';
export * from './log-store.js';
export * from './secret-paths.js';
export * from './unavailable.js';
export * from './worker-registry.js';

/** Everything that is kept about jobs and machines, over one connection. */
export const createStore = (redis: Redis, prefix: string) => {
  const keys = createKeys(prefix);
  const scripts = createScripts(redis, prefix);
  const past = createBrokerPast();
  return {
    keys,
    jobs: createJobStore(redis, keys, scripts),
    list: createJobList(redis, keys),
    claims: createClaims(scripts, past),
    adoptions: createAdoptions(scripts, past),
    backlog: createBacklog(scripts),
    logs: createLogStore(redis, keys, scripts),
    workers: createWorkerRegistry(redis, keys),
    retention: createRetention(scripts),
    readTotals: () => readJobTotals(redis, keys),
    readPendingAsks: () => readPendingAsks(redis, keys),
    readBrokerState: () => readBrokerState(redis),
    readWentBack: () => readWentBack(scripts, past),
    readInstallation: () => readInstallation(redis, keys),
    /** Throws where the broker does not answer. */
    ping: async (): Promise<void> => {
      await redis.ping();
    },
  };
};

export type Store = ReturnType<typeof createStore>;
