import type { JobState } from '@berth/domain';
import type { Redis } from 'ioredis';
import { type ArrayRecord, toArrayRecord } from './array-record.js';
import type { Keys } from './keys.js';

export interface ArrayPage {
  arrays: ArrayRecord[];
  /** The id to go on after, or null where the list has ended. */
  next: string | null;
}

/** One index of an array. */
export interface ArrayEntry {
  index: number;
  state: JobState;
  /** Its latest job. Null: there is none yet, there never was one, or it is forgotten. */
  job_id: string | null;
}

export interface ArrayEntries {
  entries: ArrayEntry[];
  /** The index to go on from, or null where all were looked at. A page may be shorter than asked for and still go on. */
  next: number | null;
}

/** So many indices are looked at for one page at the most. A multiple of eight. */
const SCAN = 65_536;
const ENDS = ['completed', 'failed', 'cancelled'] as const;

const hasBit = (bits: Buffer, place: number): boolean => ((bits[place >> 3] ?? 0) & (0x80 >> (place & 7))) !== 0;

interface Seen {
  size: number;
  /** A multiple of eight. */
  first: number;
  ends: Buffer[];
  /** The states of the jobs that live, or have just ended. */
  live: Map<number, JobState>;
}

const toState = ({ first, ends, live }: Seen, index: number): JobState =>
  live.get(index) ?? ENDS.find((_, i) => hasBit(ends[i] ?? Buffer.alloc(0), index - first)) ?? 'pending';

/** The indices from `from` on that are in the wanted state, one more than `limit` if there are so many. */
const findIndices = (seen: Seen, from: number, wanted: JobState | undefined, limit: number) => {
  const found: { index: number; state: JobState }[] = [];
  const end = Math.min(seen.size, seen.first + SCAN);
  for (let index = from; index < end && found.length <= limit; index += 1) {
    const state = toState(seen, index);
    if (wanted === undefined || state === wanted) found.push({ index, state });
  }
  return { found, end };
};

export const createArrayList = (redis: Redis, keys: Keys) => {
  const readSeen = async ({ array_id, size }: ArrayRecord, from: number): Promise<Seen> => {
    const first = from - (from % 8);
    const [start, stop] = [first / 8, (first + SCAN) / 8 - 1];
    const [flat, ...ends] = await Promise.all([
      redis.zrangebyscore(keys.arrayLive(array_id), from, first + SCAN - 1, 'WITHSCORES'),
      ...ENDS.map((state) => redis.getrangeBuffer(keys.arrayBits(array_id, state), start, stop)),
    ]);
    const ids = flat.filter((_, i) => i % 2 === 0);
    const states = await Promise.all(ids.map((id) => redis.hget(keys.job(id), 'state')));
    const live = states.map((state, i): [number, JobState] => [
      Number(flat[2 * i + 1]),
      (state ?? 'pending') as JobState,
    ]);
    return { size, first, ends, live: new Map(live) };
  };

  return {
    /** Newest first, beginning after (older than) the array `after`. `user`: only theirs. */
    async list(user: string | undefined, limit: number, after?: string): Promise<ArrayPage> {
      const index = user === undefined ? keys.arrays : keys.arraysOfUser(user);
      const from = after === undefined ? '+' : `(${after}`;
      const ids = await redis.zrange(index, from, '-', 'BYLEX', 'REV', 'LIMIT', 0, limit + 1);
      const page = ids.slice(0, limit);
      const records = await Promise.all(page.map(async (id) => toArrayRecord(id, await redis.hgetall(keys.array(id)))));
      const arrays = records.filter((record) => record !== null);
      return { arrays, next: ids.length > limit ? (page.at(-1) ?? null) : null };
    },

    /** By index, from `from` on. */
    async readEntries(
      array: ArrayRecord,
      { state, limit, from = 0 }: { state?: JobState | undefined; limit: number; from?: number | undefined },
    ): Promise<ArrayEntries> {
      const { found, end } = findIndices(await readSeen(array, from), from, state, limit);
      const page = found.slice(0, limit);
      const ids =
        page.length === 0
          ? []
          : await redis.hmget(keys.arrayJobs(array.array_id), ...page.map(({ index }) => String(index)));
      const entries = page.map((one, i) => ({ ...one, job_id: ids[i] ?? null }));
      const next = found[limit]?.index ?? (end < array.size ? end : null);
      return { entries, next };
    },
  };
};

export type ArrayList = ReturnType<typeof createArrayList>;
