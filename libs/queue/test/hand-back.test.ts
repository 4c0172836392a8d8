import { describe, expect, it } from 'vitest';
import { DONE, openTestQueue, takeWithin, toOutgoing } from './open-test-queue.js';

describe('handing back', () => {
  it('puts a message before its equals, and after what is more urgent', async () => {
    const { producer, openWorker } = openTestQueue('hand-back');
    await producer.add('small', [toOutgoing('a'), toOutgoing('b'), toOutgoing('c')]);
    const consumer = openWorker('w1');
    const first = await takeWithin(consumer, 4_000);
    expect(first.message.job_id).toBe('a');
    await producer.add('small', [toOutgoing('urgent', 90)]);
    await first.handBack();
    const order: string[] = [];
    for (let i = 0; i < 4; i++) order.push((await takeWithin(consumer, 4_000)).message.job_id);
    expect(order).toEqual(['urgent', 'a', 'b', 'c']);
  });

  it('wakes another consumer that waits, at once', async () => {
    const { producer, openWorker } = openTestQueue('hand-back');
    const [full, idle] = [openWorker('w1'), openWorker('w2')];
    await producer.add('small', [toOutgoing('a')]);
    const delivery = await takeWithin(full, 4_000);
    const taken = idle.take();
    const asleep = await Promise.race([taken, new Promise((resolve) => setTimeout(resolve, 300, 'asleep'))]);
    expect(asleep).toBe('asleep');
    const from = performance.now();
    await delivery.handBack();
    expect((await taken)?.message.job_id).toBe('a');
    expect(performance.now() - from).toBeLessThan(2_000);
    await (await taken)?.complete(DONE);
  });

  it('many times over loses nothing and leaves no failure', async () => {
    const { producer, openWorker, errors } = openTestQueue('hand-back');
    await producer.add('small', [toOutgoing('a'), toOutgoing('b')]);
    const consumer = openWorker('w1');
    for (let i = 0; i < 50; i++) await (await takeWithin(consumer, 4_000)).handBack();
    const taken = [await takeWithin(consumer, 4_000), await takeWithin(consumer, 4_000)];
    expect(taken.map((one) => one.message.job_id)).toEqual(['a', 'b']);
    for (const one of taken) await one.complete(DONE);
    expect(await producer.queues[0]?.getJobCounts()).toMatchObject({ completed: 2, failed: 0, active: 0 });
    expect(errors).toEqual([]);
  });
});

describe('postponing', () => {
  it('hides a message for its time, and no longer, while others are served', async () => {
    const { producer, openWorker } = openTestQueue('hand-back');
    await producer.add('small', [toOutgoing('big', 100), toOutgoing('next')]);
    const consumer = openWorker('w1');
    const from = performance.now();
    const big = await takeWithin(consumer, 4_000);
    await big.postpone(700);
    const next = await takeWithin(consumer, 4_000);
    expect([big.message.job_id, next.message.job_id]).toEqual(['big', 'next']);
    const again = await takeWithin(consumer, 4_000);
    expect(again.message.job_id).toBe('big');
    expect(performance.now() - from).toBeGreaterThanOrEqual(690);
    expect(await producer.isLive('small', 'big', 1)).toBe(true);
  });

  it('wakes a consumer that waits when the time has come', async () => {
    const { producer, openWorker } = openTestQueue('hand-back');
    const [small, large] = [openWorker('w1'), openWorker('w2')];
    await producer.add('small', [toOutgoing('big')]);
    const delivery = await takeWithin(small, 4_000);
    const taken = takeWithin(large, 3_000);
    await delivery.postpone(300);
    expect((await taken).message.job_id).toBe('big');
  });
});
