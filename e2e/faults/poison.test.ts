import { afterAll, beforeAll, expect } from 'vitest';
import { until } from '../harness.js';
import { sideEffectJob } from './ledger.js';
import { describeFaults, slowIt } from './rows.js';
import { endAndRead, readTale, startEndless, watchMade } from './worker-scenes.js';
import { openWorld, type World } from './world.js';

describeFaults('a job that kills its workers', () => {
  let world: World;
  beforeAll(async () => {
    world = await openWorld({ supervised: true });
  });
  afterAll(() => world?.close());

  /** From now on whoever sends the start of the job's container dies at it. Counts how many did. */
  const killWhoeverStarts = (known: Promise<string>) => {
    const made = watchMade(world.workers.map(({ proxy }) => proxy));
    let kills = 0;
    for (const worker of world.workers) {
      worker.proxy.before({ method: 'POST', path: /\/start$/, times: Number.POSITIVE_INFINITY }, async ({ path }) => {
        const job_id = made.jobOf(path);
        if (job_id === undefined || job_id !== (await known)) return;
        kills += 1;
        await worker.end();
      });
    }
    return () => kills;
  };

  slowIt('row 32: ends as poison after three epochs, and no other job is harmed', async () => {
    const running = await Promise.all([startEndless(world, 7), startEndless(world, 8), startEndless(world, 9)]);
    let know: (job_id: string) => void = () => undefined;
    const kills = killWhoeverStarts(
      new Promise((resolve) => {
        know = resolve;
      }),
    );
    const poison = await world.submit(sideEffectJob());
    know(poison.job_id);
    await until('the first death', async () => kills() > 0 || undefined);
    const late = await Promise.all([1, 2, 3].map(() => world.submit(sideEffectJob('exit 4'))));
    const ended = await world.wait(poison.job_id, 120_000);
    expect(ended.attempts.map(({ epoch, cause }) => [epoch, cause])).toEqual([
      [1, 'node_lost'],
      [2, 'node_lost'],
      [3, 'poison'],
    ]);
    expect(await readTale(world, poison.job_id)).toMatchObject({ state: 'failed', cause: 'poison', side_effects: [] });
    expect(kills()).toBeGreaterThanOrEqual(3);
    for (const { job_id, container } of running)
      expect((await world.containers(job_id)).map(({ Id }) => Id)).toEqual([container]);
    const tales = await endAndRead(
      world,
      running.map(({ job_id }) => job_id),
    );
    const unharmed = { epoch: 1, attempt: 1, side_effects: [1], whole: true };
    expect(tales).toEqual(running.map(({ exit_code }) => expect.objectContaining({ ...unharmed, exit_code })));
    for (const { job_id } of late) {
      await world.wait(job_id);
      expect(await readTale(world, job_id)).toMatchObject({ attempt: 1, cause: 'exit_code', exit_code: 4 });
    }
    await world.verify();
  });
});
