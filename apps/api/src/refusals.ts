import { statfs } from 'node:fs/promises';
import { type BrokerState, findEvictionProblem } from '@berth/store';

export const REFUSAL_REASONS = ['went_back', 'eviction_policy', 'memory', 'persistence', 'disk', 'outbox'] as const;
type RefusalReason = (typeof REFUSAL_REASONS)[number];

/** Why no jobs are accepted. The message says what was seen and what to do. */
export interface Refusal {
  reason: RefusalReason;
  message: string;
}

/** The file system that holds the broker's data. */
export interface Disk {
  free_bytes: number;
  size_bytes: number;
}

/** What was seen at one look. */
export interface Look {
  broker: BrokerState;
  /** What is wrong with a broker that has gone back to an older state. Null: it has not. */
  went_back: string | null;
  /** For how long an accepted job has been kept out of a queue that has room for it. */
  outbox_age_ms: number;
  disk: Disk | undefined;
}

/** The last quarter is for what runs already: its output, its ends, and BullMQ's own keys. */
const MAX_MEMORY_SHARE = 0.75;
/** Both have to hold: a tenth of a huge disk is plenty, and a small disk is small with a tenth free. */
const LEAST_FREE_SHARE = 0.1;
const ENOUGH_FREE_BYTES = 2 * 1024 ** 3;
const MAX_OUTBOX_AGE_MS = 10_000;

const MIB = 1024 ** 2;
const toMib = (bytes: number): string => `${Math.round(bytes / MIB)} MiB`;
const toPercent = (share: number): string => `${Math.round(share * 100)} %`;

const findMemoryProblem = ({ used_memory_bytes: used, max_memory_bytes: max }: BrokerState): string | null =>
  max === 0 || used <= max * MAX_MEMORY_SHARE
    ? null
    : `Redis uses ${toMib(used)} of its maxmemory of ${toMib(max)}, and jobs are accepted below ${toPercent(MAX_MEMORY_SHARE)} only. ` +
      'Raise maxmemory, or keep less: lower BERTH_RETENTION_SECONDS.';

const findPersistenceProblem = ({ append_failed, snapshot_failed }: BrokerState): string | null => {
  const what = append_failed ? 'Its append-only file' : snapshot_failed ? 'Its last snapshot' : null;
  return (
    what && `Redis cannot write to its disk. ${what} failed: look at that disk's free space and at the log of Redis.`
  );
};

const findDiskProblem = (disk: Disk | undefined): string | null => {
  if (!disk) return null;
  const { free_bytes: free, size_bytes: size } = disk;
  if (free >= size * LEAST_FREE_SHARE || free >= ENOUGH_FREE_BYTES) return null;
  return (
    `The disk that holds BERTH_DATA_DIR has ${toMib(free)} of ${toMib(size)} free, less than ${toPercent(LEAST_FREE_SHARE)}. ` +
    'Make room on it.'
  );
};

const findOutboxProblem = (age_ms: number): string | null =>
  age_ms <= MAX_OUTBOX_AGE_MS
    ? null
    : `Accepted jobs have waited ${Math.floor(age_ms / 1000)} s for a queue that has room for them. ` +
      'Look at the log of the API for the reason; restart the API if there is none.';

/** Everything that speaks against more jobs. */
export const findRefusals = ({ broker, went_back, outbox_age_ms, disk }: Look): Refusal[] => {
  const found: Record<RefusalReason, string | null> = {
    went_back,
    eviction_policy: findEvictionProblem(broker.eviction_policy),
    memory: findMemoryProblem(broker),
    persistence: findPersistenceProblem(broker),
    disk: findDiskProblem(disk),
    outbox: findOutboxProblem(outbox_age_ms),
  };
  return REFUSAL_REASONS.flatMap((reason) => {
    const message = found[reason];
    return message === null ? [] : [{ reason, message }];
  });
};

/** Undefined where no folder is named or it is not on this machine. */
export const readDisk = async (folder: string | undefined): Promise<Disk | undefined> => {
  if (folder === undefined) return undefined;
  try {
    const { bavail, blocks, bsize } = await statfs(folder);
    return { free_bytes: bavail * bsize, size_bytes: blocks * bsize };
  } catch {
    return undefined;
  }
};
