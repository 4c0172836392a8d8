import { existsSync, writeFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { until } from '../harness.js';
import type { Engine } from './engine.js';
import { sideEffectJob } from './ledger.js';
import { describeFaults } from './rows.js';
import { readStored, readTale } from './worker-scenes.js';
import { openWorld, type World } from './world.js';

const HALF = 30;
const toLine = (i: number | string): string => `line ${i} ä€`;
const countTo = (end: number): string =>
  `while [ $i -lt ${end} ]; do echo '${toLine("'$i'")}'; echo $i >&2; usleep 100000; i=$((i + 1)); done`;
/** Writes the first half, then waits until it is told to go on: how fast the engine is away and back must not matter. */
const SCRIPT = `i=0; ${countTo(HALF)}; while [ ! -e /tmp/go ]; do usleep 50000; done; ${countTo(2 * HALF)}`;
const STDOUT = Array.from({ length: 2 * HALF }, (_, i) => `${toLine(i)}\n`).join('');

/** Past its engine, which need not be there. */
const letGoOn = ({ State }: { State: { Pid: number } }): void => writeFileSync(`/proc/${State.Pid}/root/tmp/go`, '');

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
    const look = async () => (await world.containers(job_id)).find(({ State }) => State === 'running');
    const found = await until('its container', look);
    return engine.docker.getContainer(found.Id).inspect();
  };

  it('row 19: what ends meanwhile keeps its exit code, and what runs on is not disturbed', async () => {
    const specs = [7, 0].map((exit_code) => sideEffectJob(`${SCRIPT}; exit ${exit_code}`));
    const jobs = await Promise.all(specs.map((spec) => world.submit(spec)));
    const [ending, going] = jobs.map(({ job_id }) => job_id) as [string, string];
    const [ending1, going1] = await Promise.all([inspect(ending), inspect(going)]);
    for (const job_id of [ending, going])
      await until('some output', async () => (await readStored(world, job_id)).stdout || undefined);
    await engine.program.end();
    letGoOn(ending1);
    await until('its end', async () => (existsSync(`/proc/${ending1.State.Pid}`) ? undefined : true));
    await engine.start();
    const going2 = await inspect(going);
    expect([going2.Id, going2.State.Pid, going2.State.StartedAt]).toEqual([
      going1.Id,
      going1.State.Pid,
      going1.State.StartedAt,
    ]);
    letGoOn(going2);
    await Promise.all([ending, going].map((job_id) => world.wait(job_id)));
    const once = { epoch: 1, attempt: 1, side_effects: [1] };
    expect(await readTale(world, ending)).toMatchObject({ state: 'failed', cause: 'exit_code', exit_code: 7, ...once });
    expect(await readTale(world, going)).toMatchObject({ state: 'completed', ...once });
    for (const job_id of [ending, going]) {
      const { stdout, notes } = await readStored(world, job_id);
      process.stdout.write(`row 19: ${stdout.length} of ${STDOUT.length} characters, notes ${notes}\n`);
    }
    await world.verify({ expectedLog: () => Buffer.from(STDOUT) });
  });
});
