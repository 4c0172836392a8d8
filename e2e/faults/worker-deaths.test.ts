import { afterAll, afterEach, beforeAll, expect, it, onTestFinished } from 'vitest';
import { until } from '../harness.js';
import { sideEffectJob } from './ledger.js';
import { describeFaults, slowIt } from './rows.js';
import type { Worker } from './worker.js';
import { endAndRead, findAdoption, followStdout, readStored, readTale, startEndless } from './worker-scenes.js';
import { openWorld, type World } from './world.js';

/** Three seconds of silence and a look each second, on a machine that does other things too; its lease lasts longer. The row says 25 s. */
const ADOPTED_MS = 15_000;
/** What stops a worker kills it after so long. It needs four seconds at the most where the machine has time for it; the row says five. */
const STOPPED_MS = 10_000;

describeFaults('workers that die, stop, or stand still', () => {
  let world: World;
  beforeAll(async () => {
    world = await openWorld({ reapers: true });
  });
  afterEach(() => world?.heal());
  afterAll(() => world?.close());

  const untilWritten = (job_id: string, bytes: number) =>
    until('its output', async () => ((await readStored(world, job_id)).stdout.length > bytes ? true : undefined));
  const untilAdopted = (job_id: string, count = 1) =>
    until(`adoption ${count}`, () => findAdoption(world, job_id, count));
  /**
   * They run still in the containers in which they began; then they end, and nothing shows what was done to their workers. A worker that stood
   * still for some seconds has lost them once more.
   */
  const expectUnharmed = async (jobs: Awaited<ReturnType<typeof startEndless>>[], adoptions: number) => {
    for (const { job_id, container } of jobs)
      expect((await world.containers(job_id)).map(({ Id }) => Id)).toEqual([container]);
    const ids = jobs.map(({ job_id }) => job_id);
    const end = {
      state: 'failed',
      cause: 'exit_code',
      epoch: 1,
      attempt: 1,
      side_effects: [1],
      whole: true,
    };
    const tales = await endAndRead(world, ids);
    expect(tales).toEqual(jobs.map(({ exit_code }) => expect.objectContaining({ ...end, exit_code })));
    expect(Math.min(...tales.map((tale) => tale.adoptions))).toBeGreaterThanOrEqual(adoptions);
  };

  it('row 1: a running container of a killed worker is adopted and goes on; who follows it hears each byte once', async () => {
    const job = await startEndless(world, 7);
    const follower = await followStdout(world, job.job_id);
    onTestFinished(follower.leave);
    const owner = await world.ownerOf(job.job_id);
    const killed_at = Date.now();
    await owner.end();
    const took_ms = (await untilAdopted(job.job_id)) - killed_at;
    expect(took_ms).toBeLessThan(ADOPTED_MS);
    await expectUnharmed([job], 1);
    const { stdout } = await readStored(world, job.job_id);
    expect(await follower.finish()).toEqual({ text: stdout, last: 'end' });
    await world.verify();
  });

  it('row 6: a worker that is told to stop lets ten running jobs go, and nothing happens to them', async () => {
    const [leaver, ...others] = world.workers as [Worker, ...Worker[]];
    await Promise.all(others.map((worker) => worker.end()));
    const jobs = await Promise.all(Array.from({ length: 10 }, (_, i) => startEndless(world, i + 1)));
    await Promise.all(others.map((worker) => worker.start()));
    const told_at = Date.now();
    await leaver.end('SIGTERM');
    expect(Date.now() - told_at).toBeLessThan(STOPPED_MS);
    await Promise.all(jobs.map(({ job_id }) => untilAdopted(job_id)));
    await expectUnharmed(jobs, 1);
    await world.verify();
  });

  it('a long job outlives three restarts of its workers, in random order, with every byte of its output', async () => {
    const job = await startEndless(world, 3);
    const ownerOf = () => world.ownerOf(job.job_id);
    const restarts = shuffle(world, [
      async () => (await ownerOf()).end('SIGKILL'),
      async () => (await ownerOf()).end('SIGTERM'),
      async () => void (await Promise.all(world.workers.map((worker) => worker.end('SIGKILL')))),
    ]);
    for (const [i, restart] of restarts.entries()) {
      await restart();
      await world.heal();
      await untilAdopted(job.job_id, i + 1);
      await untilWritten(job.job_id, (await readStored(world, job.job_id)).stdout.length);
    }
    await expectUnharmed([job], 3);
    await world.verify();
  });

  slowIt('row 5: past the deadline, with every worker dead, the reaper kills it; it ends as a timeout', async () => {
    const { job_id } = await world.submit(sideEffectJob('sleep 300', { timeout_seconds: 4, stop_grace_seconds: 1 }));
    const found = await until('its container', async () => (await world.containers(job_id))[0]);
    await until('its side effect', async () => world.ledger.read(job_id)[0]);
    await Promise.all(world.workers.map((worker) => worker.end()));
    const deadline_ms = 1000 * Number(found.Labels['berth.deadline']);
    const isOver = async () => ((await world.containers(job_id))[0]?.State === 'exited' ? true : undefined);
    await until('the reaper to kill it', isOver, deadline_ms + 15_000 - Date.now());
    expect(Date.now()).toBeGreaterThan(deadline_ms);
    expect(await world.store.jobs.read(job_id)).toMatchObject({ state: 'running' });
    await world.heal();
    await world.wait(job_id);
    const end = { state: 'failed', cause: 'timeout', epoch: 1, attempt: 1, side_effects: [1] };
    expect(await readTale(world, job_id)).toMatchObject(end);
    await world.verify();
  });
});

const shuffle = <T>({ random }: World, items: T[]): T[] =>
  items
    .map((item) => ({ item, at: random.next() }))
    .sort((a, b) => a.at - b.at)
    .map(({ item }) => item);
