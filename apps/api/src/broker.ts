import { openProducer, openScheduler, type Producer, type Scheduler } from '@berth/queue';
import {
  type Channels,
  type ConnectionUse,
  createStore,
  type EventFeed,
  type FileStore,
  openChannels,
  openEventFeed,
  openRedis,
  requireSafeBroker,
  type Store,
} from '@berth/store';
import type { Redis } from 'ioredis';
import type { Logger } from 'pino';
import type { ApiConfig } from './config.js';

/** Everything that an API process has open towards Redis. */
export interface Broker {
  /** For requests: fails within two seconds where the broker is away. */
  store: Store;
  /** For work of our own: waits for the broker to come back. */
  steadyStore: Store;
  feed: EventFeed;
  channels: Channels;
  producer: Producer;
  scheduler: Scheduler;
  close(): Promise<void>;
}

/** Says once per break that the connection is gone, and once that it is back. */
const reportBreaks = (redis: Redis, use: ConnectionUse, log: Logger): void => {
  let broken = false;
  redis.on('error', (err) => {
    if (!broken) log.warn({ err, use }, 'the connection to Redis is broken; trying again');
    broken = true;
  });
  redis.on('ready', () => {
    if (broken) log.info({ use }, 'the connection to Redis is back');
    broken = false;
  });
};

/** Waits for the broker where it is not there yet. Throws UnsafeBrokerError, with nothing left open, where it would lose jobs. */
export const openBroker = async (
  { redisUrl, prefix, classes }: ApiConfig,
  files: FileStore,
  log: Logger,
): Promise<Broker> => {
  const connections: Redis[] = [];
  const connect = (use: ConnectionUse): Redis => {
    const redis = openRedis(redisUrl, use);
    reportBreaks(redis, use, log);
    connections.push(redis);
    return redis;
  };
  const steady = connect('steady');
  await requireSafeBroker(steady).catch((error) => {
    steady.disconnect();
    throw error;
  });
  const steadyStore = createStore(steady, prefix, files);
  await steadyStore.upgrade();
  const store = createStore(connect('request'), prefix, files);
  const feed = await openEventFeed(connect('blocking'), store.keys);
  const channels = openChannels(connect('blocking'));
  const producer = openProducer({
    redis: steady,
    prefix: store.keys.bull,
    classes: classes.map(({ name }) => name),
    onError: (err) => log.debug({ err }, 'the queue reports an error'),
  });
  const scheduler = openScheduler({
    redis: steady,
    prefix: store.keys.bull,
    onError: (err) => log.debug({ err }, 'the queue of schedules reports an error'),
  });
  return {
    store,
    steadyStore,
    feed,
    channels,
    producer,
    scheduler,
    async close() {
      for (const redis of connections) redis.disconnect();
      await Promise.all([producer.close(), scheduler.close(), channels.close(), feed.close()]);
    },
  };
};
