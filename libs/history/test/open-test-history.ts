import { type History, openHistory } from '@berth/history';
import { createStore, openRedis, type Store } from '@berth/store';
import type { Redis } from 'ioredis';
import { onTestFinished } from 'vitest';

let opened = 0;
export const toPrefix = (file: string): string => `test-history-${file}-${process.pid}-${opened++}`;

/** The PostgreSQL that the tests' global set-up started. */
export const databaseUrl = (): string => {
  const url = process.env.BERTH_TEST_DATABASE_URL;
  if (url === undefined) throw new Error('BERTH_TEST_DATABASE_URL is not set: run these tests through vitest');
  return url;
};

export const openTestHistory = async (prefix: string): Promise<History> => {
  const history = await openHistory({ url: databaseUrl(), prefix, onError: () => {} });
  onTestFinished(() => history.close());
  return history;
};

/** A store of one test's own. Its keys go with it. */
export const openTestStore = (prefix: string): { store: Store; redis: Redis } => {
  const url = process.env.REDIS_URL;
  if (url === undefined) throw new Error('REDIS_URL is not set: run these tests through vitest');
  const redis = openRedis(url, 'steady');
  onTestFinished(async () => {
    for await (const keys of redis.scanStream({ match: `${prefix}:*`, count: 1_000 })) {
      if (keys.length > 0) await redis.unlink(...(keys as string[]));
    }
    redis.disconnect();
  });
  return { store: createStore(redis, prefix), redis };
};
