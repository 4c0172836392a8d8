import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { until } from '../harness.js';
import { sideEffectJob } from './ledger.js';
import type { Random } from './random.js';
import { describeFaults, slowIt } from './rows.js';
import { atPoint, type Point, readTale } from './worker-scenes.js';
import { openWorld, type World } from './world.js';

const all = process.env.BERTH_FAULTS === 'all';
/** A race each, of which so many are under way at a time. */
const CANCELS = all ? 1_000 : 120;
const TIMEOUTS = all ? 400 : 40;
const LANES = 8;
const SPREAD_MS = 50;
const LOOK_MS = 15;
const LIMIT_MS = 600_000;

/** For an end that does not come: so many times as many races. */
const MOST_TIMES = 10;

/**
 * Where both ends of a race are about as likely. It moves a little after each, away from the one that came, and further for as long as it
 * is the same one: where they are as likely depends on how fast the machine is.
 */
const createAim = (begin_ms: number, random: Random) => {
  const STEP_MS = 5;
  const LONGEST_STEP_MS = 200;
  let aim_ms = begin_ms;
  let step_ms = STEP_MS;
  let last: 'early' | 'late' | undefined;
  return {
    draw: () => Math.max(0, aim_ms + SPREAD_MS * (2 * random.next() - 1)),
    learn: (came: 'early' | 'late') => {
      step_ms = came === last ? Math.min(1.25 * step_ms, LONGEST_STEP_MS) : STEP_MS;
      last = came;
      aim_ms = Math.max(0, aim_ms + (came === 'early' ? step_ms : -step_ms));
    },
  };
};

describeFaults('two ends that race for one job', () => {
  let world: World;
  beforeAll(async () => {
    world = await openWorld();
  });
  afterEach(() => world?.heal());
  afterAll(() => world?.close());

  /** Asks again where the broker did not answer in time. */
  const cancel = (job_id: string) =>
    until('an answer', async () => {
      const reply = await world.request('POST', `/v1/jobs/${job_id}/cancel`);
      return reply.status === 503 ? undefined : reply;
    });

  type Tally = Map<string, number>;
  const bothEnds = (tally: Tally): boolean => tally.size > 1;

  /** So many races, and more where they have not ended in all ways by then. */
  const inLanes = async (count: number, run: () => Promise<string>, isAll = bothEnds): Promise<Tally> => {
    const tally: Tally = new Map();
    let begun = 0;
    const lane = async () => {
      while (begun < count || (!isAll(tally) && begun < MOST_TIMES * count)) {
        begun += 1;
        const end = await run();
        tally.set(end, (tally.get(end) ?? 0) + 1);
      }
    };
    await Promise.all(Array.from({ length: LANES }, lane));
    process.stdout.write(`${[...tally].map(([end, times]) => `${end} ${times}`).join(', ')}\n`);
    return tally;
  };
  const untilStarted = async (job_id: string): Promise<number> => {
    for (;;) {
      const at = await world.redis.client.hget(world.store.keys.job(job_id), 'started_at');
      if (at) return Number(at);
      await pause(LOOK_MS);
    }
  };

  /** What the reply to a cancel says holds: 200, it is cancelled in the end; 409, it had ended, and stays as it was. */
  const raceCancel = async (spec: object, aim: ReturnType<typeof createAim>): Promise<string> => {
    const { job_id } = await world.submit(spec);
    const at_ms = (await untilStarted(job_id)) + aim.draw();
    await pause(Math.max(0, at_ms - Date.now()));
    const { status, body } = await cancel(job_id);
    aim.learn(status === 409 ? 'late' : 'early');
    const seen = await until('its record', () => world.job(job_id));
    const { state, cause } = await world.wait(job_id);
    if (status === 200) expect({ job_id, state, cause }).toEqual({ job_id, state: 'cancelled', cause: 'cancelled' });
    else
      expect({ job_id, status, code: body.code, body: body.state, seen: seen.state }).toEqual({
        ...{ job_id, status: 409, code: 'job_finished' },
        ...{ body: state, seen: state },
      });
    return `${status} ${cause ?? state}`;
  };

  slowIt(
    'row 26: cancel against completion: the reply agrees with the end',
    async () => {
      const aim = createAim(400, world.random.fork());
      const job = { command: ['sleep', '0.3'], cpus: 0.2, memory_mb: 16 };
      const tally = await inLanes(CANCELS, () => raceCancel(job, aim));
      expect([...tally.keys()].toSorted()).toEqual(['200 cancelled', '409 completed']);
      expect(Math.min(...tally.values())).toBeGreaterThan(CANCELS / 10);
      await world.verify();
    },
    LIMIT_MS,
  );

  it(
    'row 27: cancel against timeout: the reply agrees with the end',
    async () => {
      const aim = createAim(1_100, world.random.fork());
      const job = { command: ['sleep', '30'], cpus: 0.2, memory_mb: 16, timeout_seconds: 1 };
      const tally = await inLanes(TIMEOUTS, () => raceCancel(job, aim));
      expect([...tally.keys()].toSorted()).toEqual(['200 cancelled', '409 timeout']);
      await world.verify();
    },
    LIMIT_MS,
  );

  it(
    'row 27: timeout against completion: one of them, with its own evidence',
    async () => {
      const aims = { 0: createAim(980, world.random.fork()), 3: createAim(980, world.random.fork()) };
      const race = async (): Promise<string> => {
        const exit_code = world.random.pick([0, 3] as const);
        const aim = aims[exit_code];
        const command = `sleep ${(aim.draw() / 1000).toFixed(3)}; exit ${exit_code}`;
        const { job_id } = await world.submit({ command, cpus: 0.2, memory_mb: 16, timeout_seconds: 1 });
        const ended = await world.wait(job_id);
        aim.learn(ended.cause === 'timeout' ? 'late' : 'early');
        const evidence = ended.attempts[0]?.evidence as { asked_by: string | null } | undefined;
        const asked_by = evidence?.asked_by;
        const { state, cause, exit_code: code } = ended;
        const seen = { job_id, state, code, asked_by };
        if (cause === 'timeout') {
          expect(seen).toEqual({ job_id, state: 'failed', code, asked_by: 'timeout' });
        } else if (exit_code === 0) {
          expect(seen).toMatchObject({ job_id, state: 'completed', code: 0 });
          expect([null, 'timeout']).toContain(asked_by);
        } else
          expect({ cause, ...seen }).toEqual({ cause: 'exit_code', job_id, state: 'failed', code: 3, asked_by: null });
        return cause ?? state;
      };
      const tally = await inLanes(TIMEOUTS, race, (ends) => bothEnds(ends) && ends.has('timeout'));
      expect(tally.size, 'ends of more than one kind').toBeGreaterThan(1);
      expect(tally.has('timeout')).toBe(true);
      await world.verify();
    },
    LIMIT_MS,
  );

  const expectNeverStarted = async (job_id: string) => {
    const tale = await readTale(world, job_id);
    expect(tale).toMatchObject({ state: 'cancelled', cause: 'cancelled', attempt: 1, side_effects: [] });
    expect((await world.job(job_id)).started_at).toBeNull();
  };

  slowIt('row 28: cancelled while it waits for room, it never starts', async () => {
    const blocker = await world.submit(sideEffectJob('sleep 300', { cpus: 2, stop_grace_seconds: 0 }));
    await world.ownerOf(blocker.job_id);
    const { job_id } = await world.submit(sideEffectJob('true', { cpus: 2 }));
    expect((await cancel(job_id)).body.state).toBe('cancelled');
    await cancel(blocker.job_id);
    const { job_id: next } = await world.submit(sideEffectJob('true', { cpus: 2 }));
    await world.wait(next);
    await expectNeverStarted(job_id);
    expect((await readTale(world, job_id)).epoch).toBe(0);
    await world.verify();
  });

  slowIt('row 28: cancelled while it waits to be tried again, it does not start again', async () => {
    const retry = { max_attempts: 3, backoff_seconds: 2 };
    const { job_id } = await world.submit(sideEffectJob('exit 1', { retry }));
    await until('its back-off', async () => ((await world.job(job_id)).waiting_for === 'back_off' ? true : undefined));
    expect((await cancel(job_id)).body.state).toBe('cancelled');
    const { job_id: next } = await world.submit(sideEffectJob('sleep 3'));
    await world.wait(next);
    expect(await readTale(world, job_id)).toMatchObject({ state: 'cancelled', epoch: 1, side_effects: [1] });
    await world.verify();
  });

  slowIt('row 28: cancelled while its image is pulled, it ends at once and never starts', async () => {
    const pulls = world.workers.map(({ proxy }) => {
      let release: () => void = () => undefined;
      const released = new Promise<void>((resolve) => {
        release = resolve;
      });
      const rule = proxy.before({ method: 'POST', path: /\/images\/create/ }, async () => {
        begun();
        await released;
        return 'drop' as const;
      });
      return { release, rule };
    });
    let begun: () => void = () => undefined;
    const pulling = new Promise<void>((resolve) => {
      begun = resolve;
    });
    const { job_id } = await world.submit(sideEffectJob('true', { image: 'nobody/has-this:1' }));
    await pulling;
    expect((await cancel(job_id)).status).toBe(200);
    expect(await world.wait(job_id, 5_000)).toMatchObject({ state: 'cancelled', started_at: null });
    for (const { release } of pulls) release();
    await expectNeverStarted(job_id);
    await world.verify();
  });

  slowIt.each<[string, Point]>([
    ['between its claim and its container', 'before the create'],
    ['just before the start', 'after the create, before its reply'],
  ])('row 28: cancelled %s, it never starts', async (_, point) => {
    let job_id = '';
    const cancelled = atPoint(world.workers, point, async () => {
      await until('the job to be known', async () => job_id || undefined);
      expect((await cancel(job_id)).status).toBe(200);
    });
    job_id = (await world.submit(sideEffectJob())).job_id;
    const worker = await cancelled;
    await world.wait(job_id);
    await expectNeverStarted(job_id);
    expect(worker.alive).toBe(true);
    await world.verify();
  });

  slowIt('row 28: cancelled while the engine is about to start it, it is stopped at once', async () => {
    let job_id = '';
    const cancelled = atPoint(world.workers, 'before the start', async () => {
      await until('the job to be known', async () => job_id || undefined);
      expect((await cancel(job_id)).status).toBe(200);
    });
    job_id = (await world.submit(sideEffectJob('sleep 300', { stop_grace_seconds: 1 }))).job_id;
    await cancelled;
    expect(await world.wait(job_id, 10_000)).toMatchObject({ state: 'cancelled', cause: 'cancelled' });
    await world.verify();
  });
});
