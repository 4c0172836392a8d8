import { randomUUID } from 'node:crypto';
import { openQueue } from '@berth/queue';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { until } from '../harness.js';
import { sideEffectJob } from './ledger.js';
import { describeFaults } from './rows.js';
import { readTale } from './worker-scenes.js';
import { openWorld, type World } from './world.js';

type Queue = ReturnType<typeof openQueue>;

const CLASS = 'small';
const SUMMARY = { image: 'busybox:stable', command: 'true' };
/** None of them names a job of ours. */
const STRANGE: [string, unknown][] = [
  ['nothing', {}],
  ['null', null],
  ['a text', 'text'],
  ['a list', [1, 2]],
  ['no id', SUMMARY],
  ['a number for an id', { ...SUMMARY, job_id: 5 }],
  ['an empty id', { ...SUMMARY, job_id: '' }],
  ['an id that is too long', { ...SUMMARY, job_id: 'x'.repeat(100_000) }],
  ['the id of no job', { ...SUMMARY, job_id: randomUUID() }],
  ['an id that is a key', { ...SUMMARY, job_id: '../*:leases\n' }],
];
/** A version of a job's spec that this one does not know. */
const UNKNOWN_SPEC = { version: 99, containers: [{ image: 'busybox:stable', run: 'true' }] };

const toId = (name: string): string => `strange-${name}`;

/** What BullMQ itself never writes: it waits until it has been put in its place. */
const addGarbled = async ({ redis }: World, queue: Queue, jobId: string): Promise<void> => {
  const message = await queue.add('garbled', {}, { jobId, priority: 1, delay: 3_600_000 });
  await redis.client.hset(queue.toKey(jobId), 'data', '{"job_id":');
  await message.promote();
};

describeFaults('messages and records that nobody understands', () => {
  let world: World;
  let queue: Queue;
  beforeAll(async () => {
    world = await openWorld({ apis: 1, workers: 2 });
    queue = openQueue(CLASS, world.redis.client, world.store.keys.bull);
  });
  afterAll(async () => {
    await queue?.close();
    await world?.close();
  });

  it('row 33: stand as failed where people look, and the workers go on with what they understand', async () => {
    const workers = world.workers.map(({ pid }) => pid);
    await addGarbled(world, queue, toId('no JSON'));
    for (const [name, data] of STRANGE) await queue.add(name, data, { jobId: toId(name), priority: 1 });
    const { job_id } = await world.submit(sideEffectJob('echo understood'));
    await world.wait(job_id);
    expect(await readTale(world, job_id)).toMatchObject({ state: 'completed', epoch: 1, side_effects: [1] });
    const all = [...STRANGE.map(([name]) => name), 'no JSON'];
    const countFailed = () => world.redis.client.zcard(queue.toKey('failed'));
    await until('them all to fail', async () => (await countFailed()) >= all.length || undefined);
    const failed = await world.redis.client.zrange(queue.toKey('failed'), '0', '-1');
    expect(failed.sort()).toEqual(all.map(toId).sort());
    expect(world.workers.map(({ pid }) => pid)).toEqual(workers);
    await world.verify({ faultFree: true, expectedLog: () => Buffer.from('understood\n') });
  });

  it('row 33: a job whose spec is of a version that nobody knows fails, and is no trouble to any other', async () => {
    await Promise.all(world.workers.map((worker) => worker.end()));
    const strange = await world.submit({ command: 'true', cpus: 0.05, memory_mb: 16 });
    await world.redis.client.hset(world.store.keys.job(strange.job_id), 'spec', JSON.stringify(UNKNOWN_SPEC));
    const others = await Promise.all(Array.from({ length: 3 }, () => world.submit(sideEffectJob('echo understood'))));
    await Promise.all(world.workers.map((worker) => worker.start()));
    const workers = world.workers.map(({ pid }) => pid);
    for (const { job_id } of others) {
      await world.wait(job_id);
      expect(await readTale(world, job_id)).toMatchObject({ state: 'completed', epoch: 1, side_effects: [1] });
    }
    const { message } = await world.wait(strange.job_id);
    const end = { state: 'failed', cause: 'start_failed', exit_code: null, epoch: 1 };
    expect(await readTale(world, strange.job_id)).toMatchObject(end);
    expect(message).toContain('another version of Berth');
    expect(await world.containers(strange.job_id)).toEqual([]);
    for (const query of ['', '?state=failed', '?state=failed&label=a=b']) {
      const list = async () => (await world.request('GET', `/v1/jobs${query}`)).status === 200 || undefined;
      await until(`a list of jobs${query}`, list);
    }
    expect(world.workers.map(({ pid }) => pid)).toEqual(workers);
    await world.verify();
  });
});
