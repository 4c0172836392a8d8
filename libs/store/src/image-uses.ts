import type { Redis } from 'ioredis';
import type { Keys } from './keys.js';
import type { Scripts } from './scripts.js';

/** A removal that died is over after so long. */
const GOING_MS = 120_000;

export interface ImageUse {
  image: string;
  /** Unix ms. */
  used_at: number;
}

/**
 * When jobs have last used which images of an engine, so that its workers can remove the longest unused. Who uses one notes that first and looks then
 * whether it is going; who removes one says that first and looks then whether it has been used since. So one of the two always sees the other.
 */
export const createImageUses = (redis: Redis, keys: Keys, scripts: Scripts) => ({
  /** True: it is being removed just now; wait and look again before it is resolved. */
  async note(engine: string, image: string, at: number): Promise<boolean> {
    await redis.zadd(keys.imagesOn(engine), at, image);
    return (await redis.exists(keys.imageGoing(engine, image))) === 1;
  },

  isGoing: async (engine: string, image: string): Promise<boolean> =>
    (await redis.exists(keys.imageGoing(engine, image))) === 1,

  /** Those not used since the given time, the longest unused first. */
  async listUnused(engine: string, since: number): Promise<ImageUse[]> {
    const found = await redis.zrangebyscore(keys.imagesOn(engine), '-inf', `(${since}`, 'WITHSCORES');
    return found.flatMap((image, i) => (i % 2 ? [] : [{ image, used_at: Number(found[i + 1]) }]));
  },

  /** Does what removes an image, unless somebody has used it since; where that returns true, forgets it, but not a use that came meanwhile. */
  async remove(engine: string, { image, used_at }: ImageUse, work: () => Promise<boolean>): Promise<boolean> {
    const going = keys.imageGoing(engine, image);
    if ((await redis.set(going, '1', 'PX', GOING_MS, 'NX')) !== 'OK') return false;
    try {
      if (Number(await redis.zscore(keys.imagesOn(engine), image)) !== used_at) return false;
      const removed = await work();
      if (removed) await scripts.run('forget-image', engine, image, used_at);
      return removed;
    } finally {
      await redis.del(going);
    }
  },
});

export type ImageUses = ReturnType<typeof createImageUses>;
