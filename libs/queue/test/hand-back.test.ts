import { describe, expect, it } from 'vitest';
import { DONE, openTestQueue, takeNext, toOutgoing } from './open-test-queue.js';

describe('handing back', () => {
  it('puts a message before its equals, and after what is more urgent', async () => {
    const { producer, openWorker } = openTestQueue('hand-back');
    await producer.add('small', [toOutgoing('a'), toOutgoing('b'), toOutgoing('c')]);
    const consumer = openWorker('w1');
    const first = await takeNext(consumer);
    expect(first.message.job_id).toBe('a');
    await producer.add('small', [toOutgoing('urgent', 90)]);
    await first.handBack();
    const order: string[] = [];
    for (let i = 0; i < 4; i++) order.push((await takeNext(consumer)).message.job_id);
    expect(order).toEqual(['urgent', 'a', 'b', 'c']);
  });

  it('wakes another consumer that waits, at once', async () => {
    const { producer, openWorker } = openTestQueue('hand-back');
    const [full, idle] = [openWorker('w1'), openWorker('w2')];
    await producer.add('small', [toOutgoing('a')]);
    const delivery = await takeNext(full);
    const taken = idle.take();
    const asleep = await Promise.race([taken, new Promise((resolve) => setTimeout(resolve, 300, 'asleep'))]);
    expect(asleep).toBe('asleep');
    const from = performance.now();
    await delivery.handBack();
    expect((await taken)?.message.job_id).toBe('a');
    // It would look by itself after 5 s.
    expect(performance.now() - from).toBeLessThan(4_000);
    await (await taken)?.complete(DONE);
  });

  it('many times over loses nothing and leaves no failure', async () => {
    const { producer, openWorker, errors } = openTestQueue('hand-back');
    await producer.add('small', [toOutgoing('a'), toOutgoing('b')]);
    const consumer = openWorker('w1');
    for (let i = 0; i < 50; i++) await (await takeNext(consumer)).handBack();
    const taken = [await takeNext(consumer), await takeNext(consumer)];
    expect(taken.map((one) => one.message.job_id)).toEqual(['a', 'b']);
    for (const one of taken) await one.complete(DONE);
    expect(await producer.queues[0]?.getJobCounts()).toMatchObject({ completed: 2, failed: 0, active: 0 });
    expect(errors).toEqual([]);
  });
});

describe('a message that served another job', () => {
  it('says so on the board, and to whoever takes it next', async () => {
    const { producer, openWorker, errors } = openTestQueue('hand-back');
    await producer.add('small', [toOutgoing('a')]);
    const consumer = openWorker('w1');
    const delivery = await takeNext(consumer);
    const { spec } = toOutgoing('b');
    await delivery.relabel('b', { ...spec, command: 'echo other' });
    await delivery.handBack();
    const again = await takeNext(consumer);
    expect(again).toMatchObject({ ticket: 'a-1', message: { job_id: 'b', command: 'echo other' } });
    await again.complete(DONE);
    expect(errors).toEqual([]);
  });

  it('and is gone by then is reported, and no trouble to its worker', async () => {
    const { producer, openWorker, errors } = openTestQueue('hand-back');
    await producer.add('small', [toOutgoing('a')]);
    const delivery = await takeNext(openWorker('w1'));
    await delivery.complete(DONE);
    await producer.remove('small', 'a-1');
    await expect(delivery.relabel('b', toOutgoing('b').spec)).resolves.toBeUndefined();
    expect(errors.map(({ message }) => message)).toEqual([expect.stringContaining('Missing key')]);
  });
});
