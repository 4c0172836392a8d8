import { afterAll, beforeAll, expect } from 'vitest';
import { until } from '../harness.js';
import { describeFaults, slowIt } from './rows.js';
import { endAndRead, findAdoption, startEndless } from './worker-scenes.js';
import { openWorld, type World } from './world.js';

const ROUNDS = 5;
const JOBS = 10;

describeFaults('workers that are after the same container', () => {
  let world: World;
  beforeAll(async () => {
    if (process.env.BERTH_FAULTS === 'all') world = await openWorld();
  });
  afterAll(() => world?.close());

  slowIt(`row 25: of three that start at once, one adopts each of ${JOBS} containers, ${ROUNDS} times`, async () => {
    const jobs = await Promise.all(Array.from({ length: JOBS }, () => startEndless(world, 7)));
    const ids = jobs.map(({ job_id }) => job_id);
    for (let round = 1; round <= ROUNDS; round += 1) {
      await Promise.all(world.workers.map((worker) => worker.end()));
      await world.heal();
      await Promise.all(ids.map((job_id) => until('its adoption', () => findAdoption(world, job_id, round), 40_000)));
      await until('all to be taken over', async () => countTakeOvers(world) >= round * JOBS || undefined);
    }
    const containers = await Promise.all(ids.map((job_id) => world.containers(job_id)));
    expect(containers.map((found) => found.map(({ Id }) => Id))).toEqual(jobs.map(({ container }) => [container]));
    const end = { exit_code: 7, epoch: 1, attempt: 1, side_effects: [1], whole: true };
    const tales = await endAndRead(world, ids);
    expect(tales).toEqual(jobs.map(() => expect.objectContaining(end)));
    const adoptions = tales.reduce((sum, tale) => sum + tale.adoptions, 0);
    expect(countTakeOvers(world)).toBe(adoptions);
    await world.verify();
  });
});

const countTakeOvers = ({ workers }: World): number =>
  workers.flatMap((worker) => worker.allOutput().match(/"took over a container"/g) ?? []).length;
