import type { Resources } from '@berth/domain';
import type { Redis } from 'ioredis';
import type { Keys } from './keys.js';

const PAGE = 500;

const toAsk = ([, centicpus, memory_mb, gpus]: (string | null)[]): Resources => ({
  centicpus: Number(centicpus),
  memory_mb: Number(memory_mb),
  gpus: Number(gpus),
});

/** What each pending job asks for, oldest first, page by page: nobody waits for the whole of a long queue. */
export async function* readPendingAsks(redis: Redis, keys: Keys): AsyncGenerator<Resources[]> {
  for (let from = '-'; ; ) {
    const ids = await redis.zrange(keys.jobsInState('pending'), from, '+', 'BYLEX', 'LIMIT', 0, PAGE);
    const jobs = await Promise.all(
      ids.map((id) => redis.hmget(keys.job(id), 'state', 'centicpus', 'memory_mb', 'gpus')),
    );
    yield jobs.filter(([state]) => state === 'pending').map(toAsk);
    if (ids.length < PAGE) return;
    from = `(${ids.at(-1)}`;
  }
}
