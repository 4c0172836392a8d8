import { jobSpecSchema } from '@berth/domain';
import { describe, expect, it } from 'vitest';
import { DONE, FAILED, openTestQueue, takeNext, toOutgoing } from './open-test-queue.js';

describe('a message', () => {
  it('brings the id and a summary for the board, and ends as completed', async () => {
    const { producer, openWorker, errors } = openTestQueue('delivery');
    const spec = { ...jobSpecSchema.parse({ command: ['echo', 'x'.repeat(500)], name: 'mine' }), image: 'busybox' };
    await producer.add('small', [{ job_id: 'a', ticket: 'a-1', priority: 50, spec }]);
    const delivery = await takeNext(openWorker('w1'));
    expect(delivery.ticket).toBe('a-1');
    expect(delivery.message).toMatchObject({ job_id: 'a', image: 'busybox' });
    expect(delivery.message.command).toMatch(/^echo x{115}…$/);
    await delivery.complete(DONE);
    const job = await producer.queues[0]?.getJob('a-1');
    expect(await job?.getState()).toBe('completed');
    expect(job).toMatchObject({ name: 'mine', returnvalue: DONE });
    expect(errors).toEqual([]);
  });

  it('that is failed says why on the board', async () => {
    const { producer, openWorker, errors } = openTestQueue('delivery');
    await producer.add('small', [toOutgoing('a')]);
    await (await takeNext(openWorker('w1'))).fail(FAILED);
    const job = await producer.queues[0]?.getJob('a-1');
    expect(await job?.getState()).toBe('failed');
    expect(job).toMatchObject({ failedReason: 'failed: exit code 3, on node-1', progress: FAILED });
    expect(errors).toEqual([]);
  });

  it('comes by priority, and in order among equals', async () => {
    const { producer, openWorker } = openTestQueue('delivery');
    const order = [toOutgoing('low', 0), toOutgoing('one'), toOutgoing('two'), toOutgoing('top', 100)];
    await producer.add('small', order);
    const consumer = openWorker('w1');
    const taken: string[] = [];
    for (let i = 0; i < 4; i++) taken.push((await takeNext(consumer)).message.job_id);
    expect(taken).toEqual(['top', 'one', 'two', 'low']);
  });

  it('goes to a consumer that waits, at once', async () => {
    const { producer, openWorker } = openTestQueue('delivery');
    const taking = takeNext(openWorker('w1'));
    await producer.add('small', [toOutgoing('first')]);
    await (await taking).complete(DONE);
  });

  it('goes to one of two consumers, never to both', async () => {
    const { producer, openWorker, errors } = openTestQueue('delivery');
    const ids = Array.from({ length: 200 }, (_, i) => `job-${i}`);
    const taken: string[] = [];
    const consumers = [openWorker('w1'), openWorker('w2')];
    const run = async (consumer: (typeof consumers)[number], i: number) => {
      while (taken.length < ids.length) {
        const delivery = await consumer.take();
        if (!delivery) return;
        taken.push(delivery.message.job_id);
        await delivery.complete(DONE);
        if (taken.length === ids.length) await consumers[1 - i]?.close();
      }
    };
    const running = Promise.all(consumers.map(run));
    for (let i = 0; i < ids.length; i += 20) {
      await producer.add(
        'small',
        ids.slice(i, i + 20).map((id) => toOutgoing(id)),
      );
    }
    await running;
    expect(taken.sort()).toEqual(ids.sort());
    expect(errors).toEqual([]);
  });
});

describe('a ticket', () => {
  it('that is repeated adds nothing; the next one does', async () => {
    const { producer } = openTestQueue('delivery');
    await producer.add('small', [toOutgoing('a')]);
    await producer.add('small', [toOutgoing('a'), toOutgoing('b')]);
    await producer.add('small', []);
    expect(await producer.queues[0]?.getPrioritizedCount()).toBe(2);
    await producer.add('small', [toOutgoing('a', 50, 'a-2')]);
    expect(await producer.queues[0]?.getPrioritizedCount()).toBe(3);
  });

  it('is live from when it is added until it ends', async () => {
    const { producer, openWorker } = openTestQueue('delivery');
    const isLive = () => producer.isLive('small', 'a-1');
    expect(await isLive()).toBe(false);
    await producer.add('small', [toOutgoing('a')]);
    expect(await isLive()).toBe(true);
    const consumer = openWorker('w1');
    const first = await takeNext(consumer);
    expect(await isLive()).toBe(true);
    await first.handBack();
    expect(await isLive()).toBe(true);
    await (await takeNext(consumer)).complete(DONE);
    expect(await isLive()).toBe(false);
    await producer.add('small', [toOutgoing('a')]);
    expect(await isLive()).toBe(false);
  });

  it('is taken out while it waits, and stays with the worker that has it', async () => {
    const { producer, openWorker } = openTestQueue('delivery');
    await producer.add('small', [toOutgoing('a')]);
    await producer.remove('small', 'a-1');
    await producer.remove('small', 'missing-1');
    expect(await producer.isLive('small', 'a-1')).toBe(false);
    await producer.add('small', [toOutgoing('b')]);
    const delivery = await takeNext(openWorker('w1'));
    await producer.remove('small', 'b-1').catch(() => {});
    expect(await producer.isLive('small', 'b-1')).toBe(true);
    await delivery.complete(DONE);
  });

  it('to a class that there is not is refused', async () => {
    const { producer } = openTestQueue('delivery');
    await expect(producer.add('huge', [toOutgoing('a')])).rejects.toThrow('there is no queue for the class huge');
  });
});
