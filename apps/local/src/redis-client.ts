import { Redis } from 'ioredis';

/** What a URL may be: `redis://`, `rediss://`, `unix:///path` or the plain path of a socket. ioredis knows all but `unix://`. */
export const toConnectable = (url: string): string => (url.startsWith('unix://') ? url.slice('unix://'.length) : url);

/** Without the password. */
export const toPrintable = (url: string): string => url.replace(/(:\/\/[^:/@]*):[^@]*@/, '$1:***@');

const openOnce = async <T>(url: string, use: (redis: Redis) => Promise<T>): Promise<T> => {
  const redis = new Redis(toConnectable(url), {
    lazyConnect: true,
    connectTimeout: 2_000,
    commandTimeout: 2_000,
    maxRetriesPerRequest: 0,
    retryStrategy: () => null,
    enableReadyCheck: false,
  });
  redis.on('error', () => {});
  try {
    await redis.connect();
    return await use(redis);
  } finally {
    redis.disconnect();
  }
};

/** False also while it still reads its data from disk. */
export const brokerAnswers = async (url: string): Promise<boolean> => {
  try {
    return (await openOnce(url, (redis) => redis.ping())) === 'PONG';
  } catch {
    return false;
  }
};

/** undefined where the server does not say. */
export const readEvictionPolicy = async (url: string): Promise<string | undefined> => {
  const info = await openOnce(url, (redis) => redis.info('memory')).catch(() => '');
  return /^maxmemory_policy:(\S+)/m.exec(info)?.[1];
};
