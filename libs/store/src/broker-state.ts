import type { Redis } from 'ioredis';

/** What the broker says of itself that decides whether it can be trusted with more jobs. */
export interface BrokerState {
  used_memory_bytes: number;
  /** 0: it knows no limit. */
  max_memory_bytes: number;
  /** Null: it does not say. */
  eviction_policy: string | null;
  /** Its last write to the append-only file failed. */
  append_failed: boolean;
  /** Its last snapshot failed, and it takes no writes until one succeeds. */
  snapshot_failed: boolean;
}

const parseInfo = (text: string): Map<string, string> =>
  new Map(
    text
      .split('\r\n')
      .map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1)] as const)
      .filter(([name]) => name !== ''),
  );

/** A failed snapshot stops writes only where snapshots are on, and nobody has said otherwise. Hosted brokers often forbid the question. */
const stopsWrites = async (redis: Redis): Promise<boolean> => {
  const read = async (name: string) => ((await redis.config('GET', name)) as string[])[1] ?? '';
  try {
    return (await read('stop-writes-on-bgsave-error')) === 'yes' && (await read('save')) !== '';
  } catch {
    // Where it does stop them, it refuses what a submission writes first.
    return false;
  }
};

/** One INFO. What the broker does not report counts as good. */
export const readBrokerState = async (redis: Redis): Promise<BrokerState> => {
  const info = parseInfo(await redis.info());
  return {
    used_memory_bytes: Number(info.get('used_memory') ?? 0),
    max_memory_bytes: Number(info.get('maxmemory') ?? 0),
    eviction_policy: info.get('maxmemory_policy') ?? null,
    append_failed: info.get('aof_last_write_status') === 'err',
    snapshot_failed: info.get('rdb_last_bgsave_status') === 'err' && (await stopsWrites(redis)),
  };
};

/** What is wrong with an eviction policy, and what to do. Null: nothing. */
export const findEvictionProblem = (policy: string | null): string | null =>
  policy === null || policy === 'noeviction'
    ? null
    : `Redis throws keys away when it is full (maxmemory-policy ${policy}), and jobs would vanish without a word. ` +
      'Type `redis-cli config set maxmemory-policy noeviction`, and put `maxmemory-policy noeviction` into its configuration file.';

/** The broker would lose jobs by its own configuration: for a person to mend, not to be tried again. */
export class UnsafeBrokerError extends Error {
  override readonly name = 'UnsafeBrokerError';
}

/** Throws UnsafeBrokerError where the broker evicts. Waits for the broker as its connection does. */
export const requireSafeBroker = async (redis: Redis): Promise<void> => {
  const problem = findEvictionProblem((await readBrokerState(redis)).eviction_policy);
  if (problem !== null) throw new UnsafeBrokerError(problem);
};
