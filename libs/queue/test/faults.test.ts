import { once } from 'node:events';
import type { Redis } from 'ioredis';
import { describe, expect, it } from 'vitest';
import { DONE, openTestQueue, takeNext, toOutgoing } from './open-test-queue.js';
import { waitUntil } from './wait-until.js';

describe('a message that is none of ours', () => {
  it.each([{ id: 'a' }, { job_id: '' }, { job_id: 5, image: 'x', command: 'y' }, null, 'text', []])(
    '%j fails on the board, and the next one is taken',
    async (data) => {
      const { producer, openWorker, errors } = openTestQueue('faults');
      await producer.queues[0]?.add('strange', data, { jobId: 'strange-1', priority: 1 });
      await producer.add('small', [toOutgoing('good')]);
      const delivery = await takeNext(openWorker('w1'));
      expect(delivery.message.job_id).toBe('good');
      await delivery.complete(DONE);
      const strange = await producer.queues[0]?.getJob('strange-1');
      expect(await strange?.getState()).toBe('failed');
      expect(strange?.failedReason).toContain('not a message of Berth');
      expect(errors).toEqual([]);
    },
  );
});

describe('a message that is no JSON', () => {
  it('fails on the board, and the next one is taken', async () => {
    const { redis, producer, openWorker, errors } = openTestQueue('faults');
    const queue = producer.queues[0];
    await queue?.add('garbled', {}, { jobId: 'garbled-1', priority: 1 });
    await redis.hset(queue?.toKey('garbled-1') ?? '', 'data', '{"job_id":');
    await producer.add('small', [toOutgoing('good')]);
    const delivery = await takeNext(openWorker('w1'));
    expect(delivery.message.job_id).toBe('good');
    await delivery.complete(DONE);
    expect(await queue?.getFailedCount()).toBe(1);
    expect(errors).toEqual([]);
  });
});

describe('a message whose lock was lost', () => {
  it('is ended without harm by whoever had it, and reported', async () => {
    const { redis, producer, openWorker, prefix, errors } = openTestQueue('faults');
    await producer.add('small', [toOutgoing('a'), toOutgoing('b')]);
    const consumer = openWorker('w1');
    const [first, second] = [await takeNext(consumer), await takeNext(consumer)];
    await redis.del(`${prefix}:small:a-1:lock`);
    await first.complete(DONE);
    expect(errors).toHaveLength(1);
    await second.complete(DONE);
    await second.complete(DONE);
    expect(await producer.queues[0]?.getCompletedCount()).toBe(1);
  });
});

/** The connections of one test at the broker, by the command that each waits in or ran last. */
const findConnections = async (redis: Redis, prefix: string, command: string): Promise<string[]> => {
  const clients = String(await redis.client('LIST')).split('\n');
  const named = new RegExp(` name=${prefix}[ :]`);
  const ours = clients.filter((line) => named.test(line) && line.includes(` cmd=${command}`));
  return ours.map((line) => /^id=(\d+)/.exec(line)?.[1] ?? '');
};

describe('a connection that is cut', () => {
  it('while a consumer waits on it is opened again, and the next message comes', async () => {
    const { redis, prefix, producer, openWorker } = openTestQueue('faults');
    const consumer = openWorker('w1');
    for (const id of ['a', 'b', 'c']) {
      const taking = takeNext(consumer);
      await waitUntil('the consumer waits', async () => {
        const [waiting] = await findConnections(redis, prefix, 'bzpopmin');
        return waiting !== undefined && (await redis.client('KILL', 'ID', waiting)) === 1;
      });
      await producer.add('small', [toOutgoing(id)]);
      const delivery = await taking;
      expect(delivery.message.job_id).toBe(id);
      await delivery.complete(DONE);
    }
  });

  it('is no reason to lose a message that was taken: it can still be ended', async () => {
    const { redis, producer, openWorker, prefix } = openTestQueue('faults');
    await producer.add('small', [toOutgoing('a')]);
    const delivery = await takeNext(openWorker('w1'));
    const other = openTestQueue('faults');
    const closed = once(redis, 'close');
    for (const id of await findConnections(other.redis, prefix, '')) await other.redis.client('KILL', 'ID', id);
    await closed;
    await delivery.complete(DONE);
    expect(await producer.queues[0]?.getCompletedCount()).toBe(1);
  });
});

describe('a lock', () => {
  it('is renewed as long as a message is held, and then no more', async () => {
    const { redis, prefix, producer, openWorker, errors } = openTestQueue('faults');
    await producer.add('small', [toOutgoing('a')]);
    // Renewed each third of it. Where this process stands still in between, it is there still.
    const lock_ms = 9_000;
    const delivery = await takeNext(openWorker('w1', { lock_ms }));
    const left = () => redis.pttl(`${prefix}:small:a-1:lock`);
    for (let renewals = 0; renewals < 2; renewals++) {
      let least = lock_ms;
      await waitUntil('the lock is renewed', async () => {
        const now = await left();
        least = Math.min(least, now);
        return now > least + 100;
      });
    }
    await delivery.complete(DONE);
    expect(await left()).toBe(-2);
    expect(errors).toEqual([]);
  });

  it('of a worker that is gone runs out, and the message goes to one that waits', async () => {
    const { producer, openWorker } = openTestQueue('faults');
    await producer.add('small', [toOutgoing('a')]);
    const gone = openWorker('w1', { lock_ms: 600 });
    await takeNext(gone);
    const taking = takeNext(openWorker('w2', { lock_ms: 600 }));
    await gone.close();
    const delivery = await taking;
    expect(delivery.message.job_id).toBe('a');
    await delivery.complete(DONE);
    expect(await producer.isLive('small', 'a-1')).toBe(false);
  });
});

describe('stopping', () => {
  it('ends a take that waits', async () => {
    const { redis, prefix, openWorker, errors } = openTestQueue('faults');
    const consumer = openWorker('w1');
    const taking = consumer.take();
    await waitUntil('it waits', async () => (await findConnections(redis, prefix, 'bzpopmin')).length > 0);
    const from = performance.now();
    await consumer.close();
    expect(await taking).toBeUndefined();
    // A wait lasts 5 s.
    expect(performance.now() - from).toBeLessThan(4_500);
    expect(await consumer.take()).toBeUndefined();
    expect(errors).toEqual([]);
    expect(await findConnections(redis, prefix, 'bzpopmin')).toEqual([]);
  });

  it('gives a message back that comes after it', async () => {
    const { redis, prefix, producer, openWorker } = openTestQueue('faults');
    const consumer = openWorker('w1');
    const taking = consumer.take();
    await waitUntil('it waits', async () => (await findConnections(redis, prefix, 'bzpopmin')).length > 0);
    consumer.stopTaking();
    await producer.add('small', [toOutgoing('a')]);
    expect(await taking).toBeUndefined();
    expect((await takeNext(openWorker('w2'))).message.job_id).toBe('a');
  });

  it('at any moment leaves each message either taken or there for the next', async () => {
    const { producer, openWorker } = openTestQueue('faults');
    for (let round = 0; round < 40; round++) {
      const id = `job-${round}`;
      const consumer = openWorker(`w${round}`);
      const taking = consumer.take();
      const adding = producer.add('small', [toOutgoing(id)]);
      for (let turn = 0; turn < round; turn++) await new Promise(setImmediate);
      await consumer.close();
      await adding;
      const taken = await taking;
      const delivery = taken ?? (await takeNext(openWorker(`next-${round}`)));
      expect(delivery.message.job_id).toBe(id);
      await delivery.complete(DONE);
    }
    expect(await producer.queues[0]?.getJobCounts()).toMatchObject({ completed: 40, active: 0, prioritized: 0 });
  });
});
