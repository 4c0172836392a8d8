import { spawnSync } from 'node:child_process';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, beforeEach, describe, expect } from 'vitest';
import { until } from '../harness.js';
import { sideEffectJob } from './ledger.js';
import { describeFaults, slowIt } from './rows.js';
import { createSkewedClock, type SkewedClock } from './skewed-clock.js';
import { findAdoption, letEnd, readTale, writingJob } from './worker-scenes.js';
import { openWorld, type World } from './world.js';

const HOUR = 3_600;
/** Beyond its time a container may run for so long. */
const LATE_MS = 15_000;
/** Until a worker has known the broker for long enough to take jobs away from others. */
const STEADY_MS = 27_000;
/** Everything that workers do by the clock comes round in this time. */
const ROUND_MS = 12_000;

const hasCompiler = spawnSync('cc', ['--version']).error === undefined;

describe.skipIf(!hasCompiler)(`clocks that are wrong${hasCompiler ? '' : ' (skipped: missing program: cc)'}`, () => {
  describeFaults('on a machine, or under the broker', () => {
    let world: World;
    let machines: SkewedClock;
    beforeAll(async () => {
      // The first two share no engine; the first and the third do.
      world = await openWorld({ workers: 3, engines: 2, reapers: true });
      machines = createSkewedClock(world.folder, 'machines');
    });
    afterAll(() => world?.close());
    beforeEach(() => machines.set(0));

    const startMachines = () => restart([...world.workers, ...world.reapers], machines.env);

    slowIt.each([HOUR, -HOUR])('row 30: workers and reapers that are %i s ahead', async (seconds) => {
      machines.set(seconds);
      await startMachines();
      const [own, long] = [writingJob(150, { exit_code: 3 }), writingJob(150, { held: true })];
      const begun = [await start(world, own.spec), await start(world, long.spec)];
      const timed = await start(world, sideEffectJob('sleep 600', { timeout_seconds: 6, stop_grace_seconds: 2 }));
      await expectTimeout(world, timed, 6_000);
      // By the broker's clock, which is right.
      const record = await world.store.jobs.read(timed.job_id);
      expect(Math.abs(Number(record?.started_at) - timed.at)).toBeLessThan(5_000);
      const { nodes } = (await world.request('GET', '/v1/nodes')).body as { nodes: { state: string }[] };
      expect(nodes.map(({ state }) => state)).toEqual(['ready', 'ready']);
      await expectAdopted(world, begun[1]?.job_id ?? '', machines.env);
      await expectEnds(world, begun, [own, long], [3, 0]);
    });

    slowIt('row 30: the clocks of both machines are set on and back while jobs run', async () => {
      await startMachines();
      const [own, long] = [writingJob(200, { exit_code: 3 }), writingJob(300, { held: true })];
      const begun = [await start(world, own.spec), await start(world, long.spec)];
      const timed = await start(world, sideEffectJob('sleep 600', { timeout_seconds: 20, stop_grace_seconds: 2 }));
      for (const seconds of [HOUR, -HOUR]) {
        machines.set(seconds);
        await delay(ROUND_MS);
      }
      await expectTimeout(world, timed, 20_000);
      await expectAdopted(world, begun[1]?.job_id ?? '', machines.env);
      await expectEnds(world, begun, [own, long], [3, 0]);
    });

    slowIt("row 30: the broker's clock is set on and back while jobs run", async () => {
      const clock = createSkewedClock(world.folder, 'broker');
      await restart([...world.workers, ...world.reapers], {});
      await restart([world.redis.program], clock.env);
      const [own, long] = [writingJob(500, { exit_code: 3 }), writingJob(700, { held: true })];
      const begun = [await start(world, own.spec), await start(world, long.spec)];
      const spread = await Promise.all(Array.from({ length: 8 }, () => start(world, sideEffectJob('sleep 75'))));
      const timed = await start(world, sideEffectJob('sleep 600', { timeout_seconds: 60, stop_grace_seconds: 2 }));
      await delay(STEADY_MS);
      clock.set(HOUR);
      await delay(ROUND_MS);
      await expectAdopted(world, begun[1]?.job_id ?? '', {});
      const later = await start(world, sideEffectJob('echo on'));
      expect((await world.wait(later.job_id)).state).toBe('completed');
      const shown = Number((await world.store.jobs.read(later.job_id))?.started_at) - later.at;
      expect(Math.abs(shown - HOUR * 1_000)).toBeLessThan(5_000);
      clock.set(-HOUR);
      await delay(ROUND_MS);
      clock.set(0);
      await expectTimeout(world, timed, 60_000);
      for (const { job_id } of spread) {
        await world.wait(job_id);
        expect(await readTale(world, job_id)).toMatchObject({ state: 'completed', epoch: 1, side_effects: [1] });
      }
      await expectEnds(world, begun, [own, long], [3, 0]);
    });
  });
});

const restart = async (programs: Pick<World['redis']['program'], 'end' | 'start'>[], env: Record<string, string>) => {
  await Promise.all(programs.map((program) => program.end()));
  await Promise.all(programs.map((program) => program.start({ env })));
};

interface Begun {
  job_id: string;
  /** By the test's clock, Unix ms. */
  at: number;
}

const start = async (world: World, spec: object): Promise<Begun> => {
  const { job_id } = await world.submit(spec);
  const effect = await until('its side effect', async () => world.ledger.read(job_id)[0], 60_000);
  return { job_id, at: effect.at };
};

const expectTimeout = async (world: World, { job_id, at }: Begun, timeout_ms: number): Promise<void> => {
  const container = async () =>
    (await world.containers(job_id)).some(({ State }) => State === 'running') ? undefined : Date.now();
  const ended_at = await until('the timeout', container, timeout_ms + 2 * LATE_MS);
  expect(ended_at - at).toBeGreaterThan(timeout_ms - 1_000);
  expect(ended_at - at).toBeLessThan(timeout_ms + LATE_MS);
  await world.wait(job_id);
  expect(await readTale(world, job_id)).toMatchObject({ cause: 'timeout', epoch: 1, attempt: 1, side_effects: [1] });
};

/** The first or third worker gets it, goes on with it, and does not think that its time is up. */
const expectAdopted = async (world: World, job_id: string, env: Record<string, string>): Promise<void> => {
  const owner = await world.ownerOf(job_id);
  const before = (await world.store.jobs.readHistory(job_id)).filter(({ type }) => type === 'adopted').length;
  await owner.end();
  await owner.start({ env });
  await until('its adoption', () => findAdoption(world, job_id, before + 1), 40_000);
};

const expectEnds = async (
  world: World,
  begun: Begun[],
  jobs: { stdout: string }[],
  exit_codes: number[],
): Promise<void> => {
  await letEnd(
    world,
    begun.map(({ job_id }) => job_id),
  );
  for (const [i, { job_id }] of begun.entries()) {
    await world.wait(job_id, 120_000);
    const exit_code = exit_codes[i];
    expect(await readTale(world, job_id)).toMatchObject({ exit_code, epoch: 1, attempt: 1, side_effects: [1] });
  }
  const stdout = new Map(begun.map(({ job_id }, i) => [job_id, jobs[i]?.stdout]));
  await world.verify({
    expectedLog: ({ job_id }) => {
      const text = stdout.get(job_id);
      return text === undefined ? undefined : Buffer.from(text);
    },
  });
};
