import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { readEngineEvents, readObserved } from '@berth/verify';
import { afterAll, beforeAll, expect } from 'vitest';
import { until } from '../harness.js';
import { sideEffectJob } from './ledger.js';
import { describeFaults, slowIt } from './rows.js';
import { openWorld, type World } from './world.js';

/** The world itself, before anything in it is broken. */
describeFaults('a world without faults', () => {
  let world: World;
  beforeAll(async () => {
    world = await openWorld();
  });
  afterAll(() => world?.close());

  slowIt('runs jobs, each with its side effect once, and verify finds nothing', async () => {
    const jobs = await Promise.all(
      Array.from({ length: 20 }, (_, i) => world.submit(sideEffectJob(`echo job ${i}; exit ${i % 2}`), { api: i % 2 })),
    );
    const observing = world.observe(...jobs.map(({ job_id }) => job_id));
    const ended = await Promise.all(jobs.map(({ job_id }) => world.wait(job_id)));
    await observing.stop();
    expect(ended.map(({ exit_code }) => exit_code)).toEqual(jobs.map((_, i) => i % 2));
    expect(world.ledger.read()).toHaveLength(20);
    const outputs = new Map(jobs.map(({ job_id }, i) => [job_id, Buffer.from(`job ${i}\n`)]));
    await world.verify({ faultFree: true, expectedLog: (job) => outputs.get(job.job_id) });
    expect(readEngineEvents(join(world.folder, 'events')).filter(({ action }) => action === 'start')).toHaveLength(20);
    expect(readObserved(join(world.folder, 'observed')).length).toBeGreaterThan(20);
  });
});

describeFaults('the end of a world', () => {
  slowIt('leaves nothing behind, also where it had died and stood still', async () => {
    const world = await openWorld({ apis: 1, workers: 1 });
    const { job_id } = await world.submit({ command: 'sleep 300', cpus: 0.05, memory_mb: 16 });
    await world.waitForState(job_id, 'running');
    const engine = world.engines[0];
    const container = await until('its container to run', async () =>
      (await world.containers(job_id)).find(({ State }) => State === 'running'),
    );
    const inspected = await engine?.docker.getContainer(container.Id).inspect();
    world.workers[0]?.kill('SIGSTOP');
    await engine?.docker.getContainer(container.Id).pause();
    const pids = [
      inspected?.State.Pid,
      engine?.program.pid,
      engine?.space.pid,
      world.workers[0]?.pid,
      world.apis[0]?.pid,
    ];
    engine?.kill('SIGKILL');
    await world.close();
    expect(pids.filter((pid) => pid !== undefined && isAlive(pid))).toEqual([]);
    expect(existsSync(world.folder)).toBe(false);
    const cgroups = readdirSync('/sys/fs/cgroup').map((name) => `/sys/fs/cgroup/${name}/docker/${container.Id}`);
    expect(cgroups.filter((path) => existsSync(path))).toEqual([]);
  });
});

/** A zombie is dead: it only waits for its parent to take note. */
const isAlive = (pid: number): boolean => {
  try {
    return !readFileSync(`/proc/${pid}/stat`, 'utf8').includes(') Z ');
  } catch {
    return false;
  }
};
