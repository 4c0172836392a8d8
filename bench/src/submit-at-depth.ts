import type { Store } from '@berth/store';
import type { Redis } from 'ioredis';
import type { Api } from './berth.js';
import { runLanes } from './lanes.js';
import type { LoadGenerator } from './load.js';
import { percentile } from './statistics.js';
import { waitingSpec } from './waiting-jobs.js';

const LANES = 32;
const SUBMITS = 2_000;

export interface SubmitTimes {
  p50_ms: number;
  p99_ms: number;
}

/** The newest jobs go again, so that each round finds the backlog as deep as the last one did. */
const removeNewest = async (redis: Redis, store: Store): Promise<void> => {
  const ids = await redis.zrange(store.keys.jobs, '+', '-', 'BYLEX', 'REV', 'LIMIT', 0, SUBMITS);
  await runLanes(ids.length, LANES, async (i) => {
    await store.jobs.cancel(ids[i] ?? '');
  });
};

/** Over HTTP, through the API as it is shipped. */
export const measureSubmits = async (
  redis: Redis,
  { api, store, load }: { api: Api; store: Store; load: LoadGenerator },
): Promise<SubmitTimes> => {
  const body = JSON.stringify(waitingSpec);
  const { latencies_ms } = await load.run({
    ...{ port: api.port, path: '/v1/jobs', body, expect: 201 },
    ...{ count: SUBMITS, lanes: LANES },
  });
  await removeNewest(redis, store);
  return { p50_ms: percentile(latencies_ms, 0.5), p99_ms: percentile(latencies_ms, 0.99) };
};
