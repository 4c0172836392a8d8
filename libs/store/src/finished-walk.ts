import { LOCAL_USER } from '@berth/domain';
import type { Redis } from 'ioredis';
import type { Keys } from './keys.js';

/** Unix milliseconds, the first included, the second not. */
export interface EndsBetween {
  from: number;
  to: number;
}

const PAGE = 500;

/** Oldest end first. A page is filled up with all that ended in its last millisecond, so the next can begin after that. */
async function* walkEnds(redis: Redis, key: string, { from, to }: EndsBetween): AsyncGenerator<string[]> {
  for (let start = String(from); ; ) {
    const page = await redis.zrange(key, start, `(${to}`, 'BYSCORE', 'LIMIT', 0, PAGE, 'WITHSCORES');
    const ids = page.filter((_, i) => i % 2 === 0);
    if (ids.length < PAGE) return yield ids;
    const last = page.at(-1) ?? '';
    yield [...new Set([...ids, ...(await redis.zrange(key, last, last, 'BYSCORE'))])];
    start = `(${last}`;
  }
}

/** Of the jobs in an index, oldest first, those that have ended in this time. */
async function* walkIndex(redis: Redis, keys: Keys, index: string, between: EndsBetween): AsyncGenerator<string[]> {
  for (let start = '-'; ; ) {
    const ids = await redis.zrange(index, start, '+', 'BYLEX', 'LIMIT', 0, PAGE);
    if (ids.length === 0) return;
    const ends = await redis.zmscore(keys.finished, ...ids);
    yield ids.filter((_, i) => {
      const end = ends[i] ?? null;
      return end !== null && Number(end) >= between.from && Number(end) < between.to;
    });
    start = `(${ids.at(-1)}`;
  }
}

/**
 * The ids of the jobs that finished in this time, in pages of no certain size; of one user, or of all. Each that is there all the while comes once,
 * whatever comes and goes. Of the local user, who has no index, all are walked: the caller looks whose they are.
 */
export const walkFinished = (
  redis: Redis,
  keys: Keys,
  between: EndsBetween,
  user?: string,
): AsyncGenerator<string[]> =>
  user === undefined || user === LOCAL_USER
    ? walkEnds(redis, keys.finished, between)
    : walkIndex(redis, keys, keys.jobsOfUser(user), between);
