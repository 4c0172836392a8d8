import { setTimeout as delay } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import type { Keys } from './keys.js';
import type { Scripts } from './scripts.js';

/** A counter that said something else than the records do. It has been put right. */
export interface Miscount {
  /** `tally`, or `engine <name>`. */
  where: string;
  field: string;
  said: string;
  is: string;
}

/** A step takes Redis about a millisecond, and others come in between. */
const STEP = 100;
const PAUSE_MS = 2;

const toMiscounts = (where: string, flat: string[]): Miscount[] => {
  const found: Miscount[] = [];
  for (let i = 0; i < flat.length; i += 3) {
    found.push({ where, field: flat[i] ?? '', said: flat[i + 1] ?? '', is: flat[i + 2] ?? '' });
  }
  return found;
};

/**
 * Counts from the records what the counters should say, and puts right what says something else: nothing in the scripts is known to let them
 * go wrong, and this is what it would not depend on. No step holds the broker up for more than a few milliseconds, and none has to come
 * alone: `recount.lua` says why the result is exact all the same.
 */
export const createRecount = (redis: Redis, keys: Keys, scripts: Scripts) => {
  const recountTally = async (closed: () => boolean): Promise<Miscount[]> => {
    while (!closed()) {
      const [kind, ...flat] = (await scripts.run('recount', STEP)) as string[];
      if (kind === 'done') return toMiscounts('tally', flat);
      await delay(PAUSE_MS);
    }
    return [];
  };

  const recountEngine = async (engine: string): Promise<Miscount[]> =>
    toMiscounts(`engine ${engine}`, (await scripts.run('recount-engine', engine)) as string[]);

  return {
    /** Everything; returns what was wrong. `closed` ends it early, and the next one goes on from there. */
    async recount(closed: () => boolean = () => false): Promise<Miscount[]> {
      const found = await recountTally(closed);
      const engines = await redis.zrange(keys.engines, '0', '-1');
      for (const engine of engines) if (!closed()) found.push(...(await recountEngine(engine)));
      return found;
    },
  };
};

export type Recount = ReturnType<typeof createRecount>;
