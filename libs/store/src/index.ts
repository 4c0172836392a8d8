import type { Redis } from 'ioredis';
import { createAdoptions } from './adoptions.js';
import { createApiKeys } from './api-keys.js';
import { createArchiving } from './archiving.js';
import { createArrayList } from './array-list.js';
import { createArrayStore } from './array-store.js';
import { createBacklog } from './backlog.js';
import { createBrokerPast, readWentBack } from './broker-past.js';
import { readBrokerState } from './broker-state.js';
import { createClaims } from './claims.js';
import { readJobTotals } from './counters.js';
import { createFairShares } from './fair-shares.js';
import type { FileStore } from './files/file-store.js';
import { readFileSecret } from './files/signed-request.js';
import { createImageUses } from './image-uses.js';
import { readInstallation } from './installation.js';
import { createJobControl } from './job-control.js';
import { createJobList } from './job-list.js';
import { createJobNumbers } from './job-numbers.js';
import { createJobStore } from './job-store.js';
import { createKeys } from './keys.js';
import { createLogStore } from './log-store.js';
import { createNodeDrains } from './node-drains.js';
import { createPartialOutputs } from './partial-outputs.js';
import { readPendingAsks } from './pending-asks.js';
import { createQuotas } from './quotas.js';
import { createRecount } from './recount.js';
import { createReservations } from './reservations.js';
import { createRetention } from './retention.js';
import { createScheduleStore } from './schedules.js';
import { createScripts } from './scripts.js';
import { createSights } from './snapshot.js';
import { upgradeRecords } from './upgrade.js';
import { createUploads } from './uploads.js';
import { createWorkerRegistry } from './worker-registry.js';

export * from './adoptions.js';
export * from './api-keys.js';
export * from './archiving.js';
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
export * from './files/artifact-manifest.js';
export * from './files/file-store.js';
export * from './files/http-files.js';
export * from './files/keep-received.js';
export * from './files/local-files.js';
export * from './files/open-files.js';
export * from './files/pack-reader.js';
export * from './files/read-manifest.js';
export * from './files/read-whole.js';
export * from './files/receive-form.js';
export * from './files/signed-request.js';
export * from './files/upload-pace.js';
export { ARCHIVE_LEVEL, toZip } from './files/write-zip.js';
export type { EndsBetween } from './finished-walk.js';
export * from './image-uses.js';
export * from './job-control.js';
export * from './job-id.js';
export * from './job-list.js';
export * from './job-numbers.js';
export * from './job-record.js';
export * from './job-store.js';
export { createKeys, type Keys } from './keys.js';
export * from './log-store.js';
export type { LogSealer } from './logs/log-sealer.js';
export { type NewJob, toBucket, toNewShape, toNoDependency, toNoInput } from './new-job.js';
export * from './node-drains.js';
export * from './partial-outputs.js';
export * from './quotas.js';
export * from './recount.js';
export * from './redis-url.js';
export * from './reservations.js';
export * from './schedules.js';
export * from './secret-paths.js';
export * from './snapshot.js';
export * from './unavailable.js';
export * from './uploads.js';
export * from './worker-registry.js';

/** Everything that is kept about jobs and machines, over one connection. Without `files` nothing is sealed, and no segment of a log can be read. */
export const createStore = (redis: Redis, prefix: string, files?: FileStore) => {
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
    numbers: createJobNumbers(redis, keys),
    claims: createClaims(scripts, past),
    arrays: createArrayStore(redis, keys, scripts),
    arrayList: createArrayList(redis, keys),
    adoptions: createAdoptions(scripts, past),
    backlog: createBacklog(scripts),
    apiKeys: createApiKeys(redis, keys),
    logs: createLogStore(redis, keys, scripts, files),
    workers,
    drains: createNodeDrains(redis, keys, workers),
    control: createJobControl(scripts),
    quotas,
    shares: createFairShares(redis, keys, scripts),
    counts: createRecount(redis, keys, scripts),
    images: createImageUses(redis, keys, scripts),
    partials: createPartialOutputs(redis, keys),
    reservations,
    sights: createSights(scripts),
    retention: createRetention(redis, keys, scripts),
    archiving: createArchiving(redis, keys, scripts),
    schedules: createScheduleStore(redis, keys, scripts),
    uploads: createUploads(redis, keys, scripts),
    readFileSecret: () => readFileSecret(redis, keys),
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
