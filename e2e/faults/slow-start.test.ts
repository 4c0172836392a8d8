import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect } from 'vitest';
import { until } from '../harness.js';
import { describeFaults, slowIt } from './rows.js';
import { findAdoption, readStored, readTale, watchMade, writingJob } from './worker-scenes.js';
import { openWorld, type World } from './world.js';

/** The engine has taken the start call by then, and waits for its containerd, which stands still. */
const TAKEN_MS = 3_000;

describeFaults('an engine that is slow to start a container', () => {
  let world: World;
  let containerd: number;
  beforeAll(async () => {
    world = await openWorld({ workers: 2 });
    containerd = Number(readFileSync(join(world.folder, 'engine-0/exec/containerd/containerd.pid'), 'utf8'));
  });
  afterEach(async () => {
    process.kill(containerd, 'SIGCONT');
    await world?.heal();
  });
  afterAll(() => world?.close());

  slowIt(
    'its worker dies while the start is under way: the container that starts late is adopted, and is the only one',
    async () => {
      const proxies = world.workers.map(({ proxy }) => proxy);
      const made = watchMade(proxies);
      const starts = world.workers.map(({ proxy }) =>
        proxy.before({ method: 'POST', path: /\/start$/, when: ({ path }) => made.jobOf(path) !== undefined }, () => {
          for (const { proxy } of world.workers) proxy.clear();
          process.kill(containerd, 'SIGSTOP');
        }),
      );
      const { spec, stdout } = writingJob(5, { exit_code: 6 });
      const { job_id } = await world.submit(spec);
      const { path } = await Promise.race(starts.map(({ done }) => done));
      const container = /^\/containers\/([0-9a-f]{64})/.exec(path)?.[1];
      await new Promise((resolve) => setTimeout(resolve, TAKEN_MS));
      const owner = await world.ownerOf(job_id);
      await owner.end();
      const asked = world.workers.map(({ proxy }) =>
        proxy.before({ path: new RegExp(`/${container}`) }, () => undefined),
      );
      await until('its adoption', () => findAdoption(world, job_id), 40_000);
      await Promise.race(asked.map(({ done }) => done));
      process.kill(containerd, 'SIGCONT');
      await world.wait(job_id);
      const end = { cause: 'exit_code', exit_code: 6, epoch: 1, attempt: 1, side_effects: [1] };
      expect(await readTale(world, job_id)).toMatchObject(end);
      expect(await readStored(world, job_id)).toEqual({ stdout, notes: [] });
      await world.verify();
    },
  );
});
