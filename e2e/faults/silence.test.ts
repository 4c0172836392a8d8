import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { readEngineEvents } from '@berth/verify';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { until } from '../harness.js';
import { sideEffectJob } from './ledger.js';
import { describeFaults, slowIt } from './rows.js';
import { submitOnce } from './submissions.js';
import { letEnd, readStored, readTale, writingJob } from './worker-scenes.js';
import { openWorld, type World } from './world.js';

/** For a second epoch and all before it: a lease, its margin, and a look at the record of others. */
const LIMIT_MS = 300_000;

/** To each API. Where the machine stands still for a moment, not all of them take longer. */
const REFUSALS = 3;

/** Most of the time nothing happens in these worlds, so those that run always share it. */
describeFaults('a broker that is silent for long', () => {
  let alone: World;
  let pair: World;
  beforeAll(async () => {
    const [one, two] = await Promise.allSettled([openWorld({ workers: 2 }), openWorld({ workers: 2, engines: 2 })]);
    if (one.status === 'fulfilled') alone = one.value;
    if (two.status === 'fulfilled') pair = two.value;
    for (const world of [one, two]) if (world.status === 'rejected') throw world.reason;
  });
  afterAll(async () => {
    await Promise.all([alone?.close(), pair?.close()]);
  });

  it.concurrent(
    'row 12: stopped for 32 s; on the only machine the jobs go on as if nothing were',
    async () => {
      await freeze(alone, 32_000, async (jobs) => {
        for (const { job_id } of jobs) expect(readActions(alone, job_id)).toEqual(['create', 'start']);
      });
    },
    LIMIT_MS,
  );

  it.concurrent(
    'row 16: a worker that is cut off pauses in time, another machine starts the job again, and it ends once',
    async () => {
      await cutOff(pair, 0);
    },
    LIMIT_MS,
  );

  slowIt('row 12: stopped for 45 s; on the only machine', { timeout: LIMIT_MS }, async () => {
    await freeze(alone, 45_000, async (jobs) => {
      for (const { job_id } of jobs) expect(readActions(alone, job_id)).toEqual(['create', 'start']);
    });
  });

  slowIt(
    'row 12: stopped for 45 s with two machines: the containers stand still meanwhile, and go on',
    { timeout: LIMIT_MS },
    async () => {
      await freeze(pair, 45_000, async (jobs) => {
        const last = jobs.at(-1)?.job_id ?? '';
        const [container] = await pair.containers(last);
        expect(container?.Status).toContain('Paused');
        expect(readActions(pair, last)).toEqual(['create', 'start', 'pause']);
      });
    },
  );

  slowIt('row 16: a worker is cut off for 90 s', { timeout: LIMIT_MS }, async () => {
    await cutOff(pair, 90_000);
  });

  slowIt.each(['to', 'from'] as const)('row 17: a worker is cut off in one direction only (%s)', async (direction) => {
    const job = writingJob(200, { exit_code: 6 });
    const { job_id } = await pair.submit(job.spec);
    await until('its side effect', async () => pair.ledger.read(job_id)[0]);
    const owner = await pair.ownerOf(job_id);
    await owner.link.drop(direction);
    await delay(40_000);
    await owner.link.heal();
    await pair.wait(job_id);
    const { state, cause, exit_code, epoch, attempt, side_effects } = await readTale(pair, job_id);
    expect({ state, cause, exit_code, attempt }).toEqual({
      state: 'failed',
      cause: 'exit_code',
      exit_code: 6,
      attempt: 1,
    });
    expect(side_effects).toEqual(Array.from({ length: epoch }, (_, i) => i + 1));
    await pair.verify({ expectedLog: (it) => (it.job_id === job_id ? Buffer.from(job.stdout) : undefined) });
  });

  slowIt.each([
    ['three of ten packets are lost', (world: World) => Promise.all(world.workers.map(({ link }) => link.lose(0.3)))],
    ['everything is half a second late', slowDown],
  ])('row 17: %s: jobs are late and nothing else', async (_, disturb) => {
    await disturb(pair);
    const jobs = [writingJob(60), writingJob(100, { exit_code: 6 }), writingJob(5)];
    const ids = await Promise.all(jobs.map(async ({ spec }) => (await pair.submit(spec)).job_id));
    const observing = pair.observe(...ids);
    const ended = await Promise.all(ids.map((job_id) => pair.wait(job_id, 150_000)));
    await observing.stop();
    await pair.heal();
    expect(ended.map(({ exit_code }) => exit_code)).toEqual([0, 6, 0]);
    await pair.verify({
      expectedLog: ({ job_id }) => {
        const job = jobs[ids.indexOf(job_id)];
        return job && Buffer.from(job.stdout);
      },
    });
  });
});

const readActions = (world: World, job_id: string): string[] =>
  readEngineEvents(join(world.folder, 'events')).flatMap((event) => (event.job_id === job_id ? event.action : []));

const findEvent = (world: World, job_id: string, action: string, epoch: number) =>
  readEngineEvents(join(world.folder, 'events')).find(
    (event) => event.job_id === job_id && event.action === action && event.epoch === epoch,
  );

/** Jobs that end in a standstill of the broker, and one that ends after it; `look` is called when it has nearly passed. */
const freeze = async (
  world: World,
  ms: number,
  look: (running: { job_id: string }[]) => Promise<void>,
): Promise<void> => {
  const seconds = ms / 1_000;
  const jobs = [
    writingJob(20, { pause_ms: 500, exit_code: 5 }),
    writingJob(Math.round(seconds * 0.8), { pause_ms: 1_000 }),
    writingJob(Math.round(seconds * 0.8), { pause_ms: 1_000, exit_code: 3, held: true }),
  ];
  const started = await Promise.all(
    jobs.map(async (job) => {
      const { job_id } = await world.submit(job.spec);
      await until('its side effect', async () => world.ledger.read(job_id)[0]);
      return { ...job, job_id };
    }),
  );
  const observing = world.observe(...started.map(({ job_id }) => job_id));
  world.redis.kill('SIGSTOP');
  const stopped_at = Date.now();
  for (const api of [0, 1]) {
    const took_ms: number[] = [];
    for (let i = 0; i < REFUSALS; i += 1) {
      const refused = await submitOnce(world, sideEffectJob(), { key: `silent-${ms}`, api });
      expect(refused).toMatchObject({ status: 503, retry_after: expect.any(String) });
      took_ms.push(refused.took_ms);
    }
    expect(Math.min(...took_ms)).toBeLessThan(2_000);
  }
  await delay(ms - 4_000 - (Date.now() - stopped_at));
  await look(started.slice(-1));
  await delay(ms - (Date.now() - stopped_at));
  world.redis.kill('SIGCONT');
  await letEnd(
    world,
    started.slice(-1).map(({ job_id }) => job_id),
  );
  for (const [i, { job_id, stdout }] of started.entries()) {
    await world.wait(job_id);
    const [exit_code, state] =
      [
        [5, 'failed'],
        [0, 'completed'],
        [3, 'failed'],
      ][i] ?? [];
    expect(await readTale(world, job_id)).toMatchObject({ state, exit_code, epoch: 1, attempt: 1, side_effects: [1] });
    expect(await readStored(world, job_id)).toEqual({ stdout, notes: [] });
    expect(readActions(world, job_id).filter((action) => action === 'start')).toHaveLength(1);
  }
  await observing.stop();
  await world.verify({
    expectedLog: ({ job_id }) => {
      const job = started.find((one) => one.job_id === job_id);
      return job && Buffer.from(job.stdout);
    },
  });
};

/** The wire stays cut until the other machine has the job, and for so long at least. */
const cutOff = async (world: World, least_ms: number): Promise<void> => {
  const ticks = 'while :; do echo tick; usleep 500000; done';
  const { job_id } = await world.submit(
    sideEffectJob(`if [ $BERTH_EPOCH = 1 ]; then ${ticks}; fi; sleep 8; echo second`),
  );
  await until('its side effect', async () => world.ledger.read(job_id)[0]);
  const owner = await world.ownerOf(job_id);
  const observing = world.observe(job_id);
  await owner.link.drop();
  const cut_at = Date.now();
  await until('the second epoch', async () => world.ledger.read(job_id).find(({ epoch }) => epoch === 2), 120_000);
  const again = await until('its start', async () => findEvent(world, job_id, 'start', 2));
  expect(findEvent(world, job_id, 'pause', 1)?.at_ms).toBeLessThan(again.at_ms);
  const findOld = async () => (await world.containers(job_id)).find(({ Labels }) => Labels['berth.epoch'] === '1');
  expect((await findOld())?.Status).toContain('Paused');
  await delay(Math.max(0, least_ms - (Date.now() - cut_at)));
  expect((await findOld())?.Status).toContain('Paused');
  // The second epoch runs still where the wire is mended soon, and verify sees whether the first one runs beside it.
  await owner.link.heal();
  await until('the old container to be removed', async () => (await findOld()) === undefined || undefined, 120_000);
  expect(await world.wait(job_id)).toMatchObject({ state: 'completed', cause: null, exit_code: 0 });
  await observing.stop();
  expect(await readTale(world, job_id)).toMatchObject({ epoch: 2, attempt: 1, side_effects: [1, 2] });
  const record = await world.store.jobs.read(job_id);
  expect(record?.attempts.map(({ epoch, cause }) => ({ epoch, cause }))).toEqual([
    { epoch: 1, cause: 'node_lost' },
    { epoch: 2, cause: null },
  ]);
  await world.verify({ expectedLog: (job) => (job.job_id === job_id ? Buffer.from('second\n') : undefined) });
};

const slowDown = async (world: World): Promise<void> => {
  for (const worker of world.workers) {
    await worker.end();
    await worker.start({ slow: true });
    worker.slow.delay_ms = 500;
  }
};
