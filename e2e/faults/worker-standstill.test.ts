import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, expect } from 'vitest';
import { until } from '../harness.js';
import { describeFaults, slowIt } from './rows.js';
import type { Worker } from './worker.js';
import { atPoint, endAndRead, findAdoption, readStored, startEndless } from './worker-scenes.js';
import { openWorld, type World } from './world.js';

const STOPPED_MS = 60_000;
const BLOCKED_MS = 40_000;
/** At a signal the event loop stands still for so long: no message, no timer, no reply. */
const BLOCK = `process.on('SIGUSR2', () => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ${BLOCKED_MS}))`;
const ENOUGH = 2;

type Started = Awaited<ReturnType<typeof startEndless>>;

describeFaults('a worker that stands still and goes on', () => {
  let world: World;
  beforeAll(async () => {
    if (process.env.BERTH_FAULTS !== 'all') return;
    world = await openWorld({ env: { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(BLOCK)}` } });
  });
  afterEach(() => world?.heal());
  afterAll(() => world?.close());

  /** Jobs until each of the workers has enough of them. The others' belong to the scene too. */
  const startOnEach = async (workers: Worker[]): Promise<Map<Worker, Started[]>> => {
    const jobs = new Map<Worker, Started[]>(world.workers.map((worker) => [worker, []]));
    const isEnough = () => workers.every((worker) => (jobs.get(worker) ?? []).length >= ENOUGH);
    while (!isEnough()) {
      const job = await startEndless(world, 7);
      jobs.get(await world.ownerOf(job.job_id))?.push(job);
    }
    return jobs;
  };
  const untilDoneWith = (worker: Worker, job_id: string) =>
    until(`${worker.name} to be done with the job`, async () => {
      const said = worker.output().split('\n');
      return said.find((line) => line.includes(job_id) && /attempt (left|ended|broke)/.test(line));
    });
  const containerOf = async (job_id: string) => (await world.containers(job_id)).map(({ Id }) => Id);
  const END = { exit_code: 7, epoch: 1, attempt: 1, side_effects: [1], whole: true };

  slowIt('rows 7 and 8: one that was stopped, and one that was blocked, find their jobs in other hands', async () => {
    const [stopped, blocked] = world.workers as [Worker, Worker];
    const jobs = await startOnEach([stopped, blocked]);
    const taken = [...(jobs.get(stopped) ?? []), ...(jobs.get(blocked) ?? [])];
    const [ended, running] = [taken.filter((_, i) => i % 2 === 0), taken.filter((_, i) => i % 2 === 1)];
    const begun = Date.now();
    stopped.kill('SIGSTOP');
    blocked.kill('SIGUSR2');
    await Promise.all(taken.map(({ job_id }) => until('its adoption', () => findAdoption(world, job_id), 25_000)));
    const endOf = (some: Started[]) =>
      endAndRead(
        world,
        some.map(({ job_id }) => job_id),
      );
    expect(await endOf(ended)).toEqual(ended.map(() => expect.objectContaining(END)));
    await pause(STOPPED_MS - (Date.now() - begun));
    stopped.kill('SIGCONT');
    for (const worker of [stopped, blocked])
      await Promise.all((jobs.get(worker) ?? []).map(({ job_id }) => untilDoneWith(worker, job_id)));
    for (const { job_id, container } of running) expect(await containerOf(job_id)).toEqual([container]);
    expect(await endOf(running)).toEqual(running.map(() => expect.objectContaining(END)));
    const others = world.workers.slice(2).flatMap((worker) => jobs.get(worker) ?? []);
    expect(await endOf(others)).toEqual(others.map(() => expect.objectContaining(END)));
    await world.verify();
  });

  slowIt('row 7: a start that arrives late, sent before its worker was stopped, starts nothing', async () => {
    let letGo: () => void = () => undefined;
    const held = new Promise<void>((resolve) => {
      letGo = resolve;
    });
    const reached = atPoint(world.workers, 'before the start', async (worker) => {
      worker.kill('SIGSTOP');
      await held;
    });
    const { job_id, container } = await startEndless(world, 7);
    letGo();
    const stopped = await reached;
    stopped.kill('SIGCONT');
    await untilDoneWith(stopped, job_id);
    expect(await containerOf(job_id)).toEqual([container]);
    expect(await readStored(world, job_id)).toMatchObject({ notes: [] });
    expect(await endAndRead(world, [job_id])).toEqual([expect.objectContaining(END)]);
    await world.verify();
  });
});
