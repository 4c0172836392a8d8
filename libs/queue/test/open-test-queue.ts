import { jobSpecSchema } from '@berth/domain';
import {
  type Consumer,
  type ConsumerOptions,
  type Delivery,
  type Outgoing,
  openConsumer,
  openProducer,
  type Producer,
} from '@berth/queue';
import { Redis } from 'ioredis';
import { expect, onTestFinished } from 'vitest';

/** The broker that the tests' global set-up started. The names of consumers' own connections begin with the prefix too. */
const openTestRedis = (connectionName: string): Redis => {
  const url = process.env.REDIS_URL;
  if (url === undefined) throw new Error('REDIS_URL is not set: run these tests through vitest, which starts a broker');
  const redis = new Redis(url.replace(/^unix:\/\//, ''), { maxRetriesPerRequest: null, connectionName });
  redis.on('error', () => {});
  return redis;
};

const findKeys = async (redis: Redis, pattern: string): Promise<string[]> => {
  const found: string[] = [];
  for await (const keys of redis.scanStream({ match: pattern, count: 1_000 })) found.push(...(keys as string[]));
  return found;
};

export interface TestQueue {
  redis: Redis;
  prefix: string;
  producer: Producer;
  /** What consumers and producer reported as broken. */
  errors: Error[];
  openWorker: (worker: string, more?: Partial<ConsumerOptions>) => Consumer;
}

let opened = 0;

/**
 * The queue of the class `small` under a prefix of its own, for one test. When the test ends everything is closed, the keys
 * are deleted, and it is checked that none is left.
 */
export const openTestQueue = (file: string): TestQueue => {
  const prefix = `test-queue-${file}-${process.pid}-${opened++}`;
  const redis = openTestRedis(prefix);
  const errors: Error[] = [];
  const onError = (error: Error) => errors.push(error);
  const producer = openProducer({ redis, prefix, classes: ['small'], onError });
  const consumers: Consumer[] = [];
  onTestFinished(async () => {
    await Promise.all(consumers.map((consumer) => consumer.close()));
    await producer.close();
    const keys = await findKeys(redis, `${prefix}:*`);
    if (keys.length > 0) await redis.unlink(...keys);
    expect(await findKeys(redis, `*${prefix}*`)).toEqual([]);
    redis.disconnect();
  });
  return {
    redis,
    prefix,
    producer,
    errors,
    openWorker: (worker, more) => {
      const consumer = openConsumer({ className: 'small', redis, prefix, worker, onError, ...more });
      consumers.push(consumer);
      return consumer;
    },
  };
};

export const toOutgoing = (job_id: string, priority = 50, ticket = `${job_id}-1`): Outgoing => ({
  job_id,
  ticket,
  priority,
  spec: { ...jobSpecSchema.parse({ command: 'echo hi' }), image: 'busybox:stable' },
});

/** The next message, which must come. */
export const takeNext = async (consumer: Consumer): Promise<Delivery> => {
  const delivery = await consumer.take();
  if (!delivery) throw new Error('the consumer was closed');
  return delivery;
};

export const DONE = { state: 'completed', node: 'node-1', exit_code: 0, cause: null };
export const FAILED = { state: 'failed', node: 'node-1', exit_code: 3, cause: 'exit_code' };
