import { jobSpecSchema, toAsk } from '@berth/domain';
import { createStore, type StoredJob } from '@berth/store';
import { pino } from 'pino';
import { expect, it, onTestFinished } from 'vitest';
import { startArchiver } from '../src/archiver.js';
import { until } from './open-test-api.js';
import { startRedis } from './own-redis.js';

it('goes on archiving while Redis is full, also where Redis does not know yet what is archived', async () => {
  const { redis } = await startRedis();
  const store = createStore(redis, 'test');
  const spec = { ...jobSpecSchema.parse({ command: ['true'] }), image: 'x' };
  const { job_id } = await store.jobs.accept({ spec, class: 'small', ask: toAsk(spec) });
  await store.jobs.cancel(job_id);
  await redis.config('SET', 'maxmemory', '1');
  const saved: string[] = [];
  const history = {
    save: async (jobs: StoredJob[]) => saved.push(...jobs.map((job) => job.job_id)),
    readNewest: async () => 'ffffffff-0000-7000-8000-000000000000',
  };
  const times = { archiveAfterSeconds: 0, keepFinished: 0, retentionSeconds: 60, now: Date.now };
  const { archiving } = store;
  const archiver = startArchiver({ archiving, history, ...times, log: pino({ level: 'silent' }) });
  onTestFinished(() => archiver.close());
  await until('it to leave Redis', async () => (await store.jobs.read(job_id)) === null);
  expect(saved).toEqual([job_id]);
  expect(await archiving.readNewestArchived()).toBe('ffffffff-0000-7000-8000-000000000000');
});
