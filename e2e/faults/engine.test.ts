import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { until } from '../harness.js';
import type { Engine } from './engine.js';
import { sideEffectJob } from './ledger.js';
import { describeFaults, slowIt } from './rows.js';
import { readTale, writingJob } from './worker-scenes.js';
import { openWorld, type World } from './world.js';

/** How long it is looked at that nothing is taken: of what does not happen there is no sign. */
const CALM_MS = 2_500;
/** A signal from outside is known so soon, the row says. */
const KNOWN_MS = 15_000;

describeFaults('an engine that dies, stands still, or is used by others', () => {
  let world: World;
  let engine: Engine;
  beforeAll(async () => {
    world = await openWorld();
    engine = world.engines[0] as Engine;
  });
  afterEach(() => world?.heal());
  afterAll(() => world?.close());

  const untilRunning = (job_id: string) =>
    until('its side effect', async () => (world.ledger.read(job_id).length > 0 ? true : undefined));
  const submitAll = async (specs: object[]) =>
    (await Promise.all(specs.map((spec) => world.submit(spec)))).map(({ job_id }) => job_id);
  const containerOf = async (job_id: string) => {
    const [found] = await world.containers(job_id);
    return engine.docker.getContainer(found?.Id ?? '');
  };
  const countClaims = async (job_ids: string[]) => {
    const histories = await Promise.all(job_ids.map((job_id) => world.store.jobs.readHistory(job_id)));
    return histories.flat().filter(({ type }) => type === 'claimed').length;
  };
  /** When the end of its first attempt was known, in Unix ms. */
  const findEnd = async (job_id: string) =>
    (await world.store.jobs.readHistory(job_id)).find(({ type }) => type === 'retried' || type === 'failed')?.at ??
    Number.NaN;
  const isAwayFor = () => world.workers.filter((worker) => worker.output().trimEnd().split('\n').some(saysAway));

  /** While the engine is away, jobs wait and nobody takes them again and again. */
  const expectToWait = async (job_ids: string[]) => {
    await until('a worker to notice', async () => (isAwayFor().length > 0 ? true : undefined));
    const look = async () => {
      const before = await countClaims(job_ids);
      await pause(CALM_MS);
      const jobs = await world.store.jobs.readMany(job_ids);
      const isCalm = (await countClaims(job_ids)) === before && jobs.every(({ state }) => state === 'pending');
      return isCalm ? { claims: before, jobs } : undefined;
    };
    const { claims, jobs } = await until('the workers to be calm', look);
    // Each finds out by itself, and may then have waited for one more.
    expect(claims).toBeLessThanOrEqual(world.workers.length * (job_ids.length + 1));
    expect(jobs.flatMap(({ attempts }) => attempts)).toEqual([]);
  };

  const dieAndComeBack = async (signal: 'SIGKILL' | 'SIGTERM') => {
    const outputs = new Map<string, Buffer>();
    const polite = "trap 'exit 3' TERM; ";
    const sleep = '[ $BERTH_EPOCH -gt 1 ] && exit 0; while true; do sleep 0.1; done';
    const running = await submitAll(
      ['', polite, ''].map((trap) => sideEffectJob(`${trap}echo epoch $BERTH_EPOCH; ${sleep}`)),
    );
    await Promise.all(running.map(untilRunning));
    await engine.program.end(signal);
    const waiting = await submitAll(Array.from({ length: 6 }, (_, i) => sideEffectJob(`echo ${i}`)));
    for (const [i, job_id] of waiting.entries()) outputs.set(job_id, Buffer.from(`${i}\n`));
    await expectToWait(waiting);
    await engine.start();
    const back_at = Date.now();
    const ended = await Promise.all([...running, ...waiting].map((job_id) => world.wait(job_id)));
    process.stdout.write(`${signal}: all ended ${Date.now() - back_at} ms after the engine was back\n`);
    for (const job_id of running) {
      const { side_effects, ...tale } = await readTale(world, job_id);
      expect(tale).toMatchObject({ state: 'completed', attempt: 1 });
      expect(side_effects).toEqual([1, tale.epoch]);
      outputs.set(job_id, Buffer.from(`epoch ${tale.epoch}\n`));
    }
    for (const { attempts } of ended.slice(0, running.length))
      expect(attempts.map(({ cause, attempt }) => ({ cause, attempt }))).toEqual([
        { cause: 'engine_restarted', attempt: 1 },
        { cause: null, attempt: 1 },
      ]);
    for (const job_id of waiting) {
      const { side_effects, ...tale } = await readTale(world, job_id);
      expect(tale).toMatchObject({ state: 'completed', attempt: 1 });
      expect(side_effects).toHaveLength(1);
    }
    expect(world.workers.map(({ starts }) => starts)).toEqual([1, 1, 1]);
    await world.verify({ expectedLog: (job) => outputs.get(job.job_id) });
  };

  it('row 18: killed, it costs its jobs a restart and no attempt, and no job is taken meanwhile', () =>
    dieAndComeBack('SIGKILL'));

  slowIt('row 20: told to stop, it is the same, whatever its containers make of its signal', () =>
    dieAndComeBack('SIGTERM'),
  );

  slowIt('row 21: standing still, it holds up what concerns it, and nothing is lost or done twice', async () => {
    const { spec, stdout } = writingJob(400);
    const [running = '', tooLong = '', unwanted = ''] = await submitAll([
      spec,
      sideEffectJob('sleep 300', { timeout_seconds: 30, stop_grace_seconds: 1 }),
      sideEffectJob('sleep 300', { stop_grace_seconds: 1 }),
    ]);
    await Promise.all([running, tooLong, unwanted].map(untilRunning));
    const owners = await Promise.all([running, tooLong, unwanted].map((job_id) => world.ownerOf(job_id)));
    engine.kill('SIGSTOP');
    const frozen_at = Date.now();
    const [waiting = ''] = await submitAll([sideEffectJob()]);
    await world.cancel(unwanted);
    await pause(frozen_at + 60_000 - Date.now());
    const held = [running, tooLong, unwanted].map((job_id) => world.ownerOf(job_id));
    expect((await Promise.all(held)).map(({ name }) => name)).toEqual(owners.map(({ name }) => name));
    engine.kill('SIGCONT');
    const woken_at = Date.now();
    await Promise.all([running, tooLong, unwanted, waiting].map((job_id) => world.wait(job_id)));
    process.stdout.write(`row 21: all ended ${Date.now() - woken_at} ms after the engine went on\n`);
    const once = { epoch: 1, attempt: 1, side_effects: [1] };
    expect(await readTale(world, running)).toMatchObject({ state: 'completed', ...once });
    expect(await readTale(world, tooLong)).toMatchObject({ state: 'failed', cause: 'timeout', ...once });
    expect(await readTale(world, unwanted)).toMatchObject({ state: 'cancelled', ...once });
    expect(await readTale(world, waiting)).toMatchObject({ state: 'completed', attempt: 1 });
    expect(world.ledger.read(waiting)).toHaveLength(1);
    await world.verify({ expectedLog: (job) => (job.job_id === running ? Buffer.from(stdout) : undefined) });
  });

  it('row 23: what others remove or kill is known for what it is, and tried again only where the policy says so', async () => {
    const until2 = '[ $BERTH_EPOCH -gt 1 ] && exit 0; sleep 300';
    const again = (cause: string) => ({ retry: { max_attempts: 2, on: [cause], backoff_seconds: 0 } });
    const acts = [
      { spec: again('removed_externally'), act: remove, cause: 'removed_externally', exit_code: null, epochs: 2 },
      { spec: again('killed_externally'), act: remove, cause: 'removed_externally', exit_code: null, epochs: 1 },
      { spec: again('killed_externally'), act: kill, cause: 'killed_externally', exit_code: 137, epochs: 2 },
      { spec: again('removed_externally'), act: kill, cause: 'killed_externally', exit_code: 137, epochs: 1 },
      { spec: {}, act: stop, cause: 'killed_externally', exit_code: 143, epochs: 1 },
    ];
    const job_ids = await submitAll(acts.map(({ spec }) => sideEffectJob(until2, spec)));
    await Promise.all(job_ids.map(untilRunning));
    const done_at = Date.now();
    await Promise.all(acts.map(async ({ act }, i) => act(await containerOf(job_ids[i] ?? ''))));
    const ended = await Promise.all(job_ids.map((job_id) => world.wait(job_id)));
    for (const job_id of job_ids) expect((await findEnd(job_id)) - done_at).toBeLessThan(KNOWN_MS);
    for (const [i, { cause, exit_code, epochs }] of acts.entries()) {
      const { state, attempts } = ended[i] ?? { state: '', attempts: [] };
      expect([state, attempts.length, world.ledger.read(job_ids[i])]).toMatchObject(
        epochs === 1 ? ['failed', 1, [{ epoch: 1 }]] : ['completed', 2, [{ epoch: 1 }, { epoch: 2 }]],
      );
      expect(attempts[0]).toMatchObject({ attempt: 1, epoch: 1, cause, exit_code });
      const signal = exit_code === 137 ? 'SIGKILL' : 'SIGTERM';
      if (exit_code === null) expect(attempts[0]?.evidence).toBeNull();
      else expect(attempts[0]?.evidence).toMatchObject({ exit_code, signal, asked_by: 'outside', oom_kills: 0 });
    }
    await world.verify();
  });

  slowIt('row 24: what others pause or stop still ends at its timeout', async () => {
    const limits = { timeout_seconds: 15, stop_grace_seconds: 1 };
    const job_ids = await submitAll([1, 2].map(() => sideEffectJob('sleep 300', limits)));
    await Promise.all(job_ids.map(untilRunning));
    const [paused, stopped] = await Promise.all(job_ids.map(containerOf));
    await paused?.pause();
    await stopped?.kill({ signal: 'SIGSTOP' });
    const begun_at = Date.now();
    for (const job_id of job_ids) {
      expect(await world.wait(job_id)).toMatchObject({ state: 'failed', cause: 'timeout' });
      expect(await readTale(world, job_id)).toMatchObject({ epoch: 1, attempt: 1, side_effects: [1] });
    }
    expect(Date.now() - begun_at).toBeLessThan((limits.timeout_seconds + 15) * 1000);
    await world.verify();
  });
});

type Container = ReturnType<Engine['docker']['getContainer']>;
const remove = (container: Container) => container.remove({ force: true });
const kill = (container: Container) => container.kill();
const stop = (container: Container) => container.stop({ t: 60 });

const saysAway = (line: string): boolean => line.includes('the engine is away');
