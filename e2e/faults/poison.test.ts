import { afterAll, beforeAll, expect, it } from 'vitest';
import { until } from '../harness.js';
import { sideEffectJob } from './ledger.js';
import { describeFaults } from './rows.js';
import { readTale, watchMade, writingJob } from './worker-scenes.js';
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

  it('row 32: ends as poison after three epochs, and no other job is harmed', async () => {
    const long = [writingJob(150), writingJob(200, { exit_code: 3 })];
    const running = await Promise.all(long.map(({ spec }) => world.submit(spec)));
    await Promise.all(running.map(({ job_id }) => until('its start', async () => world.ledger.read(job_id)[0])));
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
    await Promise.all([...running, ...late].map(({ job_id }) => world.wait(job_id)));
    const once = { epoch: 1, attempt: 1, side_effects: [1] };
    expect(await readTale(world, running[0]?.job_id ?? '')).toMatchObject({ ...once, state: 'completed' });
    expect(await readTale(world, running[1]?.job_id ?? '')).toMatchObject({ ...once, exit_code: 3 });
    for (const { job_id } of late)
      expect(await readTale(world, job_id)).toMatchObject({ attempt: 1, cause: 'exit_code', exit_code: 4 });
    const outputs = new Map(running.map(({ job_id }, i) => [job_id, Buffer.from(long[i]?.stdout ?? '')]));
    await world.verify({ expectedLog: ({ job_id }) => outputs.get(job_id) });
  });
});
