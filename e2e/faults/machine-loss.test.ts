import { join } from 'node:path';
import { readEngineEvents } from '@berth/verify';
import { afterAll, beforeAll, expect } from 'vitest';
import { until } from '../harness.js';
import { describeFaults, slowIt } from './rows.js';
import { endAndRead, startEndless } from './worker-scenes.js';
import { openWorld, type World } from './world.js';

/** The lease, the margin, and how often the others look, three times. */
const ELSEWHERE_MS = 120_000;

describeFaults('a machine whose only worker is gone for good', () => {
  let world: World;
  beforeAll(async () => {
    if (process.env.BERTH_FAULTS === 'all') world = await openWorld({ engines: 2, workers: 2, reapers: true });
  });
  afterAll(() => world?.close());

  const happened = (job_id: string, epoch: number, action: string) =>
    readEngineEvents(join(world.folder, 'events')).find(
      (event) => event.job_id === job_id && event.epoch === epoch && event.action === action,
    );

  slowIt(
    'its job runs on the other one, after its reaper has paused what is left; a worker that returns removes it',
    async () => {
      const { job_id, container } = await startEndless(world, 7);
      const dead = await world.ownerOf(job_id);
      await dead.end();
      const lease_end = Number(await world.redis.client.zscore(world.store.keys.leases, job_id));
      const moved = async () => (world.ledger.read(job_id).length === 2 ? true : undefined);
      await until('the job to run elsewhere', moved, ELSEWHERE_MS);
      expect(world.ledger.read(job_id)[1]?.at).toBeGreaterThan(lease_end);
      const paused = await until('the pause to be told', async () => happened(job_id, 1, 'pause'));
      const started = await until('the start to be told', async () => happened(job_id, 2, 'start'));
      expect(paused).toMatchObject({ container });
      expect(paused.at_ms).toBeLessThan(started.at_ms);
      expect(paused.engine).not.toBe(started.engine);
      const find = () => dead.engine.docker.getContainer(container).inspect();
      expect((await find()).State).toMatchObject({ Status: 'paused' });
      await dead.start();
      await until('it to be removed', () =>
        find().then(
          () => undefined,
          () => true as const,
        ),
      );
      const end = { exit_code: 7, epoch: 2, attempt: 1, adoptions: 0, side_effects: [1, 2] };
      expect(await endAndRead(world, [job_id])).toEqual([expect.objectContaining(end)]);
      expect((await world.store.jobs.read(job_id))?.attempts.map(({ cause }) => cause)).toEqual([
        'node_lost',
        'exit_code',
      ]);
      await world.verify();
    },
  );
});
