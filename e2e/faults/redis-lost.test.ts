import { cpSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, expect } from 'vitest';
import { until } from '../harness.js';
import { sideEffectJob } from './ledger.js';
import { describeFaults, slowIt } from './rows.js';
import { SMALL_MACHINE, startSubmissions, submitOnce, waitingJob } from './submissions.js';
import { letEnd, readTale, writingJob } from './worker-scenes.js';
import { openWorld, type World, type WorldOptions } from './world.js';

describeFaults('a broker that cannot keep what it had', () => {
  let world: World | undefined;
  afterEach(() => world?.close());
  const open = async (options: WorldOptions): Promise<World> => {
    world = await openWorld({ workers: 2, env: SMALL_MACHINE, ...options });
    return world;
  };

  slowIt(
    'row 14: its disk is full for 20 s: nothing that was accepted is lost, and running jobs end as they do',
    async () => {
      const here = await open({ redis: { disk_mb: 24 } });
      here.redis.program.supervise(true);
      const jobs = [writingJob(100), writingJob(150, { exit_code: 3 }), writingJob(500)];
      const started = await Promise.all(jobs.map(({ spec }) => startJob(here, spec)));
      const load = startSubmissions(here, { clients: 3, toSpec: () => ({ ...waitingJob, queue_timeout_seconds: 60 }) });
      await until('some to be accepted', async () => load.ids().size > 20 || undefined);
      here.redis.fillDisk();
      await delay(20_000);
      const refused = await submitOnce(here, sideEffectJob(), { key: 'full', api: 0 });
      expect(refused).toMatchObject({ status: 503, retry_after: expect.any(String) });
      here.redis.freeDisk();
      for (const [i, job_id] of started.entries()) {
        await here.wait(job_id);
        const exit_code = [0, 3, 0][i];
        expect(await readTale(here, job_id)).toMatchObject({ exit_code, epoch: 1, attempt: 1, side_effects: [1] });
      }
      await load.stop();
      expect(new Set(load.heard.map(({ status }) => status))).toEqual(new Set([201, 503]));
      await here.verify({
        limit_ms: 100_000,
        expectedLog: ({ job_id }) => {
          const job = jobs[started.indexOf(job_id)];
          return job && Buffer.from(job.stdout);
        },
      });
    },
  );

  slowIt(
    'row 15: everything in it is deleted: what ran is removed, and nothing begins until a person says so',
    async () => {
      const here = await open({});
      await Promise.all([1, 2, 3].map(() => startJob(here, sideEffectJob('sleep 600'))));
      const installation = (await here.redis.client.get(here.store.keys.installation)) ?? '';
      await here.redis.client.flushall();
      await untilAlarm(here);
      await until(
        'all containers to be gone',
        async () => ((await here.containers()).length === 0 ? true : undefined),
        40_000,
      );
      expect(await here.redis.client.get(here.store.keys.installation)).toBe(installation);
      rmSync(join(here.folder, 'accepted'));
      rmSync(here.ledger.file);
      await seeToIt(here);
      const job_id = await startJob(here, sideEffectJob('echo on'));
      await here.wait(job_id);
      expect(await readTale(here, job_id)).toMatchObject({ state: 'completed', epoch: 1, side_effects: [1] });
      await here.verify({ expectedLog: () => Buffer.from('on\n') });
    },
  );

  slowIt(
    'row 15: an old copy of it comes back: it is noticed, what runs is finished, and nothing that has run is begun',
    async () => {
      const here = await open({});
      const jobs = await goBack(here);
      await untilAlarm(here);
      await letEnd(here, [jobs.running]);
      await until(
        'nothing to run',
        async () => {
          const { running } = await here.store.list.countByState(['running']);
          return running === 0 && (await here.containers()).length === 0 ? true : undefined;
        },
        90_000,
      );
      expect(await readTale(here, jobs.running)).toMatchObject({ state: 'completed', epoch: 1, side_effects: [1] });
      expect(await here.store.jobs.read(jobs.later)).toBeNull();
      expect(await readTale(here, jobs.ended)).toMatchObject({
        cause: 'removed_externally',
        epoch: 1,
        side_effects: [1],
      });
      // The copy says that these wait. They ran meanwhile, and nothing but the alarm holds them back.
      const restarted = here.workers[0];
      await restarted?.end();
      await restarted?.start();
      await delay(6_000);
      for (const job_id of jobs.waiting)
        expect(await readTale(here, job_id)).toMatchObject({ state: 'pending', epoch: 0, side_effects: [1] });
      const [unwanted = '', wanted = ''] = jobs.waiting;
      expect((await here.request('POST', `/v1/jobs/${unwanted}/cancel`)).body).toMatchObject({ state: 'cancelled' });
      await seeToIt(here);
      const seen_to_at = Date.now();
      expect(await here.wait(wanted)).toMatchObject({ state: 'completed', exit_code: 0 });
      expect(Date.now() - seen_to_at).toBeLessThan(20_000);
      // Whoever keeps a ledger is told of what the broker has forgotten, and of nothing else.
      const { lines } = await here.check();
      expect(lines.filter((line) => line.startsWith('  '))).toEqual([
        `  ${jobs.later} was accepted and is not there`,
        `  ${unwanted} had a side effect in epoch 1, and only 0 epochs`,
        `  ${wanted} had the side effect of epoch 1 2 times`,
        `  ${jobs.later} had a side effect and is not there`,
      ]);
    },
  );
});

/** Every part knows, says so, and starts nothing. */
const untilAlarm = async (world: World): Promise<void> => {
  for (const worker of world.workers)
    await until(
      `an alarm of ${worker.name}`,
      async () => worker.output().includes('no more jobs are started. Redis has gone back') || undefined,
    );
  for (const api of world.apis.keys()) {
    const look = async () => {
      const { body } = await world.request('GET', '/ready', undefined, { api });
      return (body.refusals as { reason: string }[]).find(({ reason }) => reason === 'went_back');
    };
    await until(`an alarm of API ${api}`, look);
    const refused = await world.trySubmit(sideEffectJob(), { api });
    expect(refused).toMatchObject({ status: 503, body: { detail: expect.stringContaining('redis-cli del') } });
    expect(refused.headers.get('retry-after')).toBe('10');
  }
};

/** What the alarm tells a person to do. */
const seeToIt = async (world: World): Promise<void> => {
  expect(await world.redis.client.del(world.store.keys.wentBack)).toBe(1);
  for (const api of world.apis.keys()) {
    const look = async () => (await world.request('GET', '/ready', undefined, { api })).body.accepting || undefined;
    await until('jobs to be accepted', look);
  }
};

const startJob = async (world: World, spec: object): Promise<string> => {
  const { job_id } = await world.submit(spec);
  await until('its side effect', async () => world.ledger.read(job_id)[0]);
  return job_id;
};

/** A copy is made while one job runs throughout, one is about to end, and two wait; the last is submitted after it. */
const goBack = async (world: World) => {
  const data = join(world.folder, 'redis');
  const copy = join(world.folder, 'redis-copy');
  const toldToEnd = 'until [ -e /tmp/end ]; do usleep 100000; done';
  const running = await startJob(world, sideEffectJob(toldToEnd));
  const ended = await startJob(world, sideEffectJob(toldToEnd, { cpus: 1.9 }));
  const submitWaiting = async () => (await world.submit(sideEffectJob(undefined, { cpus: 1.9 }))).job_id;
  const waiting = [await submitWaiting(), await submitWaiting()];
  cpSync(data, copy, { recursive: true });
  await letEnd(world, [ended]);
  await world.wait(ended);
  for (const job_id of waiting) await world.wait(job_id);
  const later = await startJob(world, sideEffectJob('sleep 600'));
  await world.redis.program.end();
  rmSync(data, { recursive: true });
  cpSync(copy, data, { recursive: true });
  await world.redis.start();
  return { running, ended, waiting, later };
};
