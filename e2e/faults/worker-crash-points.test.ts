import { afterAll, beforeAll, expect, it } from 'vitest';
import { until } from '../harness.js';
import { describeFaults, slowIt } from './rows.js';
import { atPoint, die, type Point, readStored, readTale, writingJob } from './worker-scenes.js';
import { openWorld, type World } from './world.js';

describeFaults('a worker that dies at a certain point', () => {
  let world: World;
  beforeAll(async () => {
    world = await openWorld({ supervised: true });
  });
  afterAll(() => world?.close());

  const statesOf = async (job_id: string) => (await world.containers(job_id)).map(({ State }) => State);
  /**
   * A job whose worker does what is said at the point, and how its container stands there: as long as the worker lives it is nobody else's.
   * Nobody waits at the look that shows the end: the worker would hear of it in another way.
   */
  const runTo = async (point: Point, act: Parameters<typeof atPoint>[2], exit_code: number) => {
    const { spec, stdout } = writingJob(5, { exit_code });
    let job_id = '';
    let states: string[] = [];
    const reached = atPoint(world.workers, point, async (worker) => {
      if (point !== 'at the look that shows the end') {
        await until('the job to be known', async () => job_id || undefined);
        states = await statesOf(job_id);
      }
      return act(worker);
    });
    job_id = (await world.submit(spec)).job_id;
    await reached;
    return { job_id, stdout, states };
  };

  /** Another worker has gone on with it, and the job has noticed nothing. A slow one may have to leave it to a third. */
  const expectOneRun = async (job_id: string, { exit_code, stdout }: { exit_code: number; stdout: string }) => {
    await world.wait(job_id);
    const { adoptions, ...tale } = await readTale(world, job_id);
    expect(tale).toMatchObject({ cause: 'exit_code', exit_code, epoch: 1, attempt: 1, side_effects: [1] });
    expect(adoptions).toBeGreaterThan(0);
    expect(await readStored(world, job_id)).toEqual({ stdout, notes: [] });
  };

  it('rows 2, 3 and 4: after the create, between the end and its record, and between the record and the removal', async () => {
    const recorded = await runTo('before the removal', die, 0);
    const before = await world.store.jobs.read(recorded.job_id);
    expect(before).toMatchObject({ state: 'completed', exit_code: 0 });
    expect(recorded.states).toEqual(['exited']);

    const ended = await runTo('at the look that shows the end', die, 9);
    await expectOneRun(ended.job_id, { ...ended, exit_code: 9 });

    const created = await runTo('after the create, before its reply', die, 5);
    expect(created.states).toEqual(['created']);
    await expectOneRun(created.job_id, { ...created, exit_code: 5 });

    const isGone = async () => (await statesOf(recorded.job_id)).length === 0 || undefined;
    await until('the container to be removed, by two looks at what the engine has, ten seconds apart', isGone);
    expect(await world.store.jobs.read(recorded.job_id)).toEqual(before);
    await world.verify();
  });

  it('row 2: before the start: the job is started once', async () => {
    const { job_id, stdout, states } = await runTo('before the start', die, 5);
    expect(states).toEqual(['created']);
    await expectOneRun(job_id, { stdout, exit_code: 5 });
    await world.verify();
  });

  slowIt('row 2: before the create, and after the start, before its reply: the job is started once', async () => {
    const asked = await runTo('before the create', die, 5);
    expect(asked.states).toEqual([]);
    await expectOneRun(asked.job_id, { ...asked, exit_code: 5 });
    const started = await runTo('after the start, before its reply', die, 6);
    expect(started.states).not.toEqual(['created']);
    await expectOneRun(started.job_id, { ...started, exit_code: 6 });
    await world.verify();
  });

  slowIt.each(['after the create, before its reply', 'after the start, before its reply'] as const)(
    'row 22: the reply is lost %s: the job is started once',
    async (point) => {
      const { job_id, stdout } = await runTo(point, async () => 'drop', 8);
      await world.wait(job_id);
      const tale = await readTale(world, job_id);
      expect(tale).toMatchObject({ cause: 'exit_code', exit_code: 8, attempt: 1 });
      expect(tale.side_effects).toEqual([tale.epoch]);
      expect((await readStored(world, job_id)).stdout).toBe(stdout);
      await world.verify();
    },
  );
});
