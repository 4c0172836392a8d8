import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, expect } from 'vitest';
import { until } from '../harness.js';
import type { Engine } from './engine.js';
import { sideEffectJob } from './ledger.js';
import { describeFaults, slowIt } from './rows.js';
import { endAndRead, findAdoption, letEnd, readStored, readTale, startEndless, writingJob } from './worker-scenes.js';
import { openWorld, type World } from './world.js';

/** Whoever counted the engine's refusals as restarts of the job would have failed it as poison by then. */
const FULL_MS = 20_000;
/** So long the output of an adopted container has no place to be kept. */
const UNKEPT_MS = 5_000;

const FILLS_DISK = 'while head -c 9999 /dev/zero >> /tmp/file; do usleep 50000; done 2> /dev/null; exit 28';
const TOO_LONG = { timeout_seconds: 8, stop_grace_seconds: 1 };

describeFaults('an engine whose disk is full', () => {
  let world: World;
  let engine: Engine;
  beforeAll(async () => {
    if (process.env.BERTH_FAULTS !== 'all') return;
    world = await openWorld({ engine_disk_mb: 64 });
    engine = world.engines[0] as Engine;
  });
  afterEach(() => world?.heal());
  afterAll(() => world?.close());

  const submitAll = async (specs: object[]) =>
    (await Promise.all(specs.map((spec) => world.submit(spec)))).map(({ job_id }) => job_id);
  const untilRunning = (job_id: string) =>
    until('its side effect', async () => (world.ledger.read(job_id).length > 0 ? true : undefined));
  const countClaims = async (job_id: string) =>
    (await world.store.jobs.readHistory(job_id)).filter(({ type }) => type === 'claimed').length;
  const countNoticed = () => world.workers.filter((worker) => worker.output().includes(NOTICED)).length;

  slowIt(
    'row 40: what runs ends as it would, and what waits waits, at no cost, until there is room again',
    async () => {
      const endless = await startEndless(world, 7);
      const { spec, stdout } = writingJob(100, { exit_code: 3 });
      const [talker = '', filling = '', tooLong = '', unwanted = ''] = await submitAll([
        spec,
        sideEffectJob(FILLS_DISK),
        sideEffectJob('sleep 300', TOO_LONG),
        sideEffectJob('sleep 300', { stop_grace_seconds: 1 }),
      ]);
      await Promise.all([talker, filling, tooLong, unwanted].map(untilRunning));
      engine.disk.fill();
      const full_at = Date.now();
      const waiting = await submitAll(Array.from({ length: 6 }, (_, i) => sideEffectJob(`echo ${i}`)));
      await world.cancel(unwanted);

      await Promise.all([talker, filling, tooLong, unwanted].map((job_id) => world.wait(job_id)));
      const once = { epoch: 1, attempt: 1, side_effects: [1] };
      expect(await readTale(world, talker)).toMatchObject({ cause: 'exit_code', exit_code: 3, ...once });
      expect(await readTale(world, filling)).toMatchObject({ cause: 'exit_code', exit_code: 28, ...once });
      expect(await readTale(world, tooLong)).toMatchObject({ cause: 'timeout', ...once });
      expect(await readTale(world, unwanted)).toMatchObject({ state: 'cancelled', ...once });

      await until('the workers to notice', async () => (countNoticed() > 0 ? true : undefined));
      await pause(full_at + FULL_MS - Date.now());
      for (const job_id of waiting) {
        expect(await world.store.jobs.read(job_id)).toMatchObject({ attempts: [], finished_at: null });
        // A worker that has noticed may have waited for one more.
        expect(await countClaims(job_id)).toBeLessThanOrEqual(2 * world.workers.length);
      }
      engine.disk.free();
      const free_at = Date.now();
      await Promise.all(waiting.map((job_id) => world.wait(job_id)));
      process.stdout.write(`row 40: all ended ${Date.now() - free_at} ms after there was room again\n`);
      for (const job_id of waiting) {
        const { attempts, state } = await world.job(job_id);
        expect({ state, attempts: attempts.length }).toEqual({ state: 'completed', attempts: 1 });
        expect(world.ledger.read(job_id)).toHaveLength(1);
      }
      expect(await endAndRead(world, [endless.job_id])).toMatchObject([{ exit_code: 7, whole: true, ...once }]);
      expect(world.workers.map(({ starts }) => starts)).toEqual([1, 1, 1]);
      const outputs = new Map(waiting.map((job_id, i) => [job_id, `${i}\n`])).set(talker, stdout);
      await world.verify({ expectedLog: (job) => toBytes(outputs.get(job.job_id)) });
    },
  );

  slowIt('row 40: a log that the engine could not keep says so where its worker dies', async () => {
    const { spec, stdout } = writingJob(1_000, { exit_code: 5, pause_ms: 20, held: true });
    const { job_id } = await world.submit(spec);
    await untilRunning(job_id);
    engine.disk.fill();
    await pause(UNKEPT_MS);
    const owner = await world.ownerOf(job_id);
    await owner.end();
    await until('its adoption', () => findAdoption(world, job_id));
    await pause(UNKEPT_MS);
    engine.disk.free();
    await letEnd(world, [job_id]);
    await world.wait(job_id);
    const end = { cause: 'exit_code', exit_code: 5, epoch: 1, attempt: 1, side_effects: [1] };
    expect(await readTale(world, job_id)).toMatchObject(end);
    expect((await readStored(world, job_id)).notes).toEqual([expect.stringContaining('output is missing here')]);
    await owner.start();
    await world.verify({ expectedLog: (job) => (job.job_id === job_id ? Buffer.from(stdout) : undefined) });
  });
});

const NOTICED = 'the engine is away, or starts no containers';
const toBytes = (text: string | undefined): Buffer | undefined => (text === undefined ? undefined : Buffer.from(text));
