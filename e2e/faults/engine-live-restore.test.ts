import { existsSync } from 'node:fs';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { until } from '../harness.js';
import type { Engine } from './engine.js';
import { sideEffectJob } from './ledger.js';
import { describeFaults } from './rows.js';
import { readStored, readTale, writingJob } from './worker-scenes.js';
import { openWorld, type World } from './world.js';

/** With live-restore containers run on while their engine is away: nothing may be lost of them but, at most, a few words. */
describeFaults('an engine that leaves its containers running', () => {
  let world: World;
  let engine: Engine;
  beforeAll(async () => {
    world = await openWorld({ liveRestore: true });
    engine = world.engines[0] as Engine;
  });
  afterAll(() => world?.close());

  const inspect = async (job_id: string) => {
    const [found] = await until('its container', async () => {
      const all = await world.containers(job_id);
      return all.some(({ State }) => State === 'running') ? all : undefined;
    });
    return engine.docker.getContainer(found?.Id ?? '').inspect();
  };

  it('row 19: what ends meanwhile keeps its exit code, and what runs on is not disturbed', async () => {
    const short = 'i=0; while [ $i -lt 25 ]; do echo $i; usleep 100000; i=$((i + 1)); done; echo last; exit 7';
    const shortOutput = `${Array.from({ length: 25 }, (_, i) => `${i}\n`).join('')}last\n`;
    const long = writingJob(80);
    const jobs = await Promise.all([sideEffectJob(short), long.spec].map((spec) => world.submit(spec)));
    const [ending, going] = jobs.map(({ job_id }) => job_id) as [string, string];
    const [short1, long1] = await Promise.all([inspect(ending), inspect(going)]);
    await until('some output', async () => ((await readStored(world, ending)).stdout.length > 3 ? true : undefined));
    await engine.program.end();
    await until('its end', async () => (existsSync(`/proc/${short1.State.Pid}`) ? undefined : true));
    await engine.start();
    const long2 = await inspect(going);
    expect([long2.Id, long2.State.Pid, long2.State.StartedAt]).toEqual([
      long1.Id,
      long1.State.Pid,
      long1.State.StartedAt,
    ]);
    await Promise.all([ending, going].map((job_id) => world.wait(job_id)));
    const once = { epoch: 1, attempt: 1, side_effects: [1] };
    expect(await readTale(world, ending)).toMatchObject({ state: 'failed', cause: 'exit_code', exit_code: 7, ...once });
    expect(await readTale(world, going)).toMatchObject({ state: 'completed', ...once });
    const outputs = new Map([
      [ending, Buffer.from(shortOutput)],
      [going, Buffer.from(long.stdout)],
    ]);
    for (const [job_id, output] of outputs) {
      const { stdout, notes } = await readStored(world, job_id);
      process.stdout.write(`row 19: ${stdout.length} of ${output.toString().length} characters, notes ${notes}\n`);
    }
    await world.verify({ expectedLog: (job) => outputs.get(job.job_id) });
  });
});
