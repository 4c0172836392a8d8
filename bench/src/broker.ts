import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { openBroker } from '@berth/local';
import { openRedis } from '@berth/store';
import type { Redis } from 'ioredis';

/** A Redis of our own: on a unix socket, every write on disk before it is acknowledged. */
export interface OwnBroker {
  url: string;
  redis: Redis;
  pid: number;
  /** Empties it, so that one benchmark's jobs are not the next one's load. */
  clear(): Promise<void>;
  close(): Promise<void>;
}

/** AOF rewrites are turned off: one that starts in the middle of a round would be taken for Berth's cost. */
export const openOwnBroker = async (folder: string): Promise<OwnBroker> => {
  const dataDir = join(folder, 'broker');
  mkdirSync(dataDir, { recursive: true });
  const broker = await openBroker({
    redisUrl: undefined,
    dataDir,
    path: (process.env.PATH ?? '').split(':'),
    env: process.env,
    docker: undefined,
    say: () => undefined,
  });
  process.once('exit', broker.kill);
  const redis = openRedis(broker.url, 'steady');
  redis.on('error', () => undefined);
  await redis.config('SET', 'auto-aof-rewrite-percentage', 0);
  const pid = Number(/process_id:(\d+)/.exec(await redis.info('server'))?.[1]);
  return {
    url: broker.url,
    redis,
    pid,
    clear: async () => {
      await redis.flushall();
    },
    close: async () => {
      redis.disconnect();
      await broker.close();
    },
  };
};
