import { cpSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, expect } from 'vitest';
import { until } from '../harness.js';
import { sideEffectJob } from './ledger.js';
import { describeFaults, slowIt } from './rows.js';
import { SMALL_MACHINE, startSubmissions, submitOnce, waitingJob } from './submissions.js';
import { readTale, writingJob } from './worker-scenes.js';
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
      const it = await open({ redis: { disk_mb: 24 } });
      it.redis.program.supervise(true);
      const jobs = [writingJob(100), writingJob(150, { exit_code: 3 }), writingJob(500)];
      const started = await Promise.all(jobs.map(({ spec }) => startJob(it, spec)));
      const load = startSubmissions(it, { clients: 3, toSpec: () => ({ ...waitingJob, queue_timeout_seconds: 60 }) });
      await until('some to be accepted', async () => load.ids().size > 20 || undefined);
      it.redis.fillDisk();
      await delay(20_000);
      const refused = await submitOnce(it, sideEffectJob(), { key: 'full', api: 0 });
      expect(refused).toMatchObject({ status: 503, retry_after: expect.any(String) });
      it.redis.freeDisk();
      for (const [i, job_id] of started.entries()) {
        await it.wait(job_id);
        const exit_code = [0, 3, 0][i];
        expect(await readTale(it, job_id)).toMatchObject({ exit_code, epoch: 1, attempt: 1, side_effects: [1] });
      }
      await load.stop();
      expect(new Set(load.heard.map(({ status }) => status))).toEqual(new Set([201, 503]));
      await it.verify({
        limit_ms: 100_000,
        expectedLog: ({ job_id }) => {
          const job = jobs[started.indexOf(job_id)];
          return job && Buffer.from(job.stdout);
        },
      });
    },
  );

  slowIt('row 15: everything in it is deleted: what ran is removed, and new jobs run', async () => {
    const it = await open({});
    await Promise.all([1, 2, 3].map(() => startJob(it, sideEffectJob('sleep 600'))));
    const installation = (await it.redis.client.get(it.store.keys.installation)) ?? '';
    await it.redis.client.flushall();
    await until(
      'all containers to be gone',
      async () => ((await it.containers()).length === 0 ? true : undefined),
      40_000,
    );
    await it.redis.client.set(it.store.keys.installation, installation);
    rmSync(join(it.folder, 'accepted'));
    rmSync(it.ledger.file);
    const job_id = await startJob(it, sideEffectJob('echo on'));
    await it.wait(job_id);
    expect(await readTale(it, job_id)).toMatchObject({ state: 'completed', epoch: 1, side_effects: [1] });
    await it.verify({ expectedLog: () => Buffer.from('on\n') });
  });

  slowIt(
    'row 15: an old copy of it comes back: nothing runs on for ever, and every job that it knows ends once',
    async () => {
      const it = await open({});
      const jobs = await goBack(it);
      await until(
        'all to have ended',
        async () => {
          const { pending, running } = await it.store.list.countByState(['pending', 'running']);
          return pending + running === 0 && (await it.containers()).length === 0 ? true : undefined;
        },
        90_000,
      );
      expect(await readTale(it, jobs.running)).toMatchObject({ state: 'completed', epoch: 1, side_effects: [1] });
      expect(await it.store.jobs.read(jobs.later)).toBeNull();
      expect(await readTale(it, jobs.ended)).toMatchObject({ epoch: 1, side_effects: [1] });
      // Berth does not notice that its broker has forgotten: what had only waited then runs once more, and what was submitted later is
      // unknown. Whoever keeps a ledger is told of both.
      expect(await readTale(it, jobs.waiting)).toMatchObject({ state: 'completed', epoch: 1, side_effects: [1, 1] });
      await expect(it.verify()).rejects.toThrow(/side effect of epoch 1 2 times/);
    },
  );
});

const startJob = async (world: World, spec: object): Promise<string> => {
  const { job_id } = await world.submit(spec);
  await until('its side effect', async () => world.ledger.read(job_id)[0]);
  return job_id;
};

/** A copy is made while one job runs throughout, one is about to end, and one waits; the last is submitted after it. */
const goBack = async (world: World) => {
  const data = join(world.folder, 'redis');
  const copy = join(world.folder, 'redis-copy');
  const running = await startJob(world, sideEffectJob('sleep 25'));
  const blocker = await startJob(world, sideEffectJob('sleep 3', { cpus: 1.9 }));
  const ended = blocker;
  const waiting = (await world.submit(sideEffectJob(undefined, { cpus: 1.9 }))).job_id;
  cpSync(data, copy, { recursive: true });
  await world.wait(ended);
  await world.wait(waiting);
  const later = await startJob(world, sideEffectJob('sleep 600'));
  await world.redis.program.end();
  rmSync(data, { recursive: true });
  cpSync(copy, data, { recursive: true });
  await world.redis.start();
  return { running, ended, waiting, later };
};
