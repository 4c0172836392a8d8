import Docker from 'dockerode';
import { describe, expect, it, vi } from 'vitest';
import { createDockerRuntime } from '../src/runtime/docker/docker-runtime.js';
import { createFakeEngine, createFakeRuntime, type FakeWrite } from '../src/runtime/fake-runtime.js';
import { pause } from '../src/waiting.js';
import { defer } from './fakes.js';
import { NOTHING, type OpenedWorker, openRig, type Rig, untilStarted } from './open-rig.js';

const STUBBORN = 'trap "" TERM; echo ready; while :; do sleep 1; done';
const NARROW = { cpus: 0.1, memory_mb: 32 };

const untilReady = (rig: Rig, id: string) =>
  vi.waitFor(async () => expect((await rig.readLog(id)).toString()).toBe('ready\n'), { timeout: 60_000, interval: 10 });

const openDocker = (rig: Rig) => createDockerRuntime({ installation: rig.prefix, engine: process.env.DOCKER_HOST });

describe('a cancel of a job that ignores TERM', () => {
  it('gives it its grace time, then KILL, and leaves no container', async () => {
    const rig = openRig('stopping');
    const { context } = await rig.openWorker();
    const id = await rig.submit({ command: STUBBORN, stop_grace_seconds: 1, ...NARROW });
    await untilReady(rig, id);
    await untilStarted(rig, id);
    const asked = performance.now();
    expect(await rig.store.jobs.cancel(id)).toEqual({ kind: 'requested' });
    const record = await rig.untilState(id, 'cancelled');
    expect(performance.now() - asked).toBeGreaterThanOrEqual(1_000);
    expect(record).toMatchObject({ cause: 'cancelled', exit_code: 137 });
    await vi.waitFor(async () => expect(await context.runtime.list()).toEqual([]), { timeout: 30_000 });
    expect(await rig.store.workers.readReserved(context.engine.id)).toEqual(NOTHING);
    expect(await rig.history(id)).toEqual(['submitted', 'claimed', 'started', 'cancel_requested', 'cancelled']);
  });
});

describe('a worker that is told to kill', () => {
  it('gives its jobs back soon, whatever their grace time, and leaves no container; the next one runs them', async () => {
    const rig = openRig('stopping');
    const { context, stop } = await rig.openWorker();
    const ids = await Promise.all(
      [0, 1, 2].map(() => rig.submit({ command: STUBBORN, stop_grace_seconds: 300, ...NARROW })),
    );
    for (const id of ids) await untilReady(rig, id);
    const began = performance.now();
    await stop('kill');
    expect(performance.now() - began).toBeLessThan(60_000);
    const engine = openDocker(rig);
    expect(await engine.list()).toEqual([]);
    await engine.close();
    expect(await rig.store.workers.readReserved(context.engine.id)).toEqual(NOTHING);
    for (const id of ids) {
      const record = await rig.store.jobs.read(id);
      expect(record).toMatchObject({ state: 'pending', attempt: 1, attempts: [], cause: null });
      const released = (await rig.store.jobs.readHistory(id)).find((event) => event.type === 'released');
      expect(released?.data).toEqual({ attempt: 1, epoch: 1 });
    }
    const quick = createFakeRuntime(createFakeEngine(), rig.prefix);
    await rig.openWorker({ runtime: quick });
    for (const id of ids) {
      expect(await rig.untilState(id, 'completed')).toMatchObject({ attempt: 1, epoch: 2 });
    }
  });

  it('gives back too what it was claiming at that moment', async () => {
    const rig = openRig('stopping');
    const engine = createFakeEngine({ program: () => ({ until: new Promise(() => {}) }) });
    const { context, stop } = await rig.openWorker({ runtime: createFakeRuntime(engine, rig.prefix) });
    const { claims } = context.store;
    const claimed = defer();
    const answered = defer();
    const { draw } = claims;
    claims.draw = async (...args) => {
      const reply = await draw(...args);
      claimed.resolve();
      await answered.promise;
      return reply;
    };
    const id = await rig.submit();
    await claimed.promise;
    const stopping = stop('kill');
    answered.resolve();
    await stopping;
    expect([context.leases.size, engine.containers.size]).toEqual([0, 0]);
    expect((await rig.store.jobs.read(id))?.state).toBe('pending');
    expect(await rig.history(id)).toEqual(['submitted', 'claimed', 'released']);
  });
});

/** A fake engine whose containers run for ever, after they have said something, and a worker on it. */
const openEndless = async (rig: Rig, more: FakeWrite[] = []) => {
  const output: FakeWrite[] = [{ stream: 'stdout', data: 'so far' }, ...more];
  const program = () => ({ until: new Promise(() => {}), output });
  const engine = createFakeEngine({ program });
  const opened = await rig.openWorker({ runtime: createFakeRuntime(engine, rig.prefix) });
  const states = () => [...engine.containers.values()].map((container) => container.state);
  return { ...opened, engine, states };
};

describe('a worker that leaves', () => {
  it('touches neither containers nor attempts: what they have written is stored, and only then are they let go', async () => {
    const rig = openRig('stopping');
    const talk = Array.from({ length: 4_000 }, (): FakeWrite => ({ stream: 'stdout', data: 'and on ', after_ms: 5 }));
    const { context, stop, states, engine } = await openEndless(rig, talk);
    const { adoptions, logs } = context.store;
    const { letGo } = adoptions;
    const { append } = logs;
    let sent = 0;
    const storedWhenLetGo: number[] = [];
    logs.append = async (claim, batch) => {
      sent += batch.pieces.reduce((sum, piece) => sum + piece.bytes.length, 0);
      await pause(100);
      return append(claim, batch);
    };
    const ids = await Promise.all([0, 1, 2].map(() => rig.submit(NARROW)));
    for (const id of ids) await untilStarted(rig, id);
    adoptions.letGo = async (held, by) => {
      expect(held.map((claim) => claim.job_id).sort()).toEqual([...ids].sort());
      const stored = await Promise.all(ids.map((id) => rig.readLog(id)));
      storedWhenLetGo.push(Buffer.concat(stored).length);
      return letGo(held, by);
    };
    await vi.waitFor(() => expect(sent).toBeGreaterThan(100), { timeout: 30_000, interval: 5 });
    await stop('leave');
    expect(storedWhenLetGo).toEqual([sent]);
    expect(sent, 'it has not waited for the rest').toBeLessThan(ids.length * talk.length * 'and on '.length);
    expect(states()).toEqual(['running', 'running', 'running']);
    for (const id of ids) {
      expect(await rig.store.jobs.read(id)).toMatchObject({ state: 'running', owner: null, epoch: 1, attempts: [] });
      expect(await rig.history(id)).toEqual(['submitted', 'claimed', 'started']);
    }
    expect(await rig.store.claims.expire(Date.now())).toEqual([]);
    expect(await rig.store.workers.readReserved('fake-engine')).toEqual({ centicpus: 30, memory_mb: 96, gpus: 0 });
    for (const id of engine.containers.keys()) engine.removeExternally(id);
  });

  it('lets go too what it was claiming at that moment, and starts nothing of it', async () => {
    const rig = openRig('stopping');
    const { context, stop, engine } = await openEndless(rig);
    const { claims } = context.store;
    const [claimed, answered] = [defer(), defer()];
    const { draw } = claims;
    claims.draw = async (...args) => {
      const reply = await draw(...args);
      claimed.resolve();
      await answered.promise;
      return reply;
    };
    const id = await rig.submit();
    await claimed.promise;
    const letGoAll = vi.spyOn(context.leases, 'letGoAll');
    const stopping = stop('leave');
    await vi.waitFor(() => expect(letGoAll).toHaveBeenCalled(), { timeout: 30_000, interval: 5 });
    answered.resolve();
    await stopping;
    expect([...engine.containers.values()].filter((c) => c.state === 'running')).toEqual([]);
    expect(await rig.store.jobs.read(id)).toMatchObject({ state: 'running', owner: null, epoch: 1 });
    await rig.openWorker({ runtime: createFakeRuntime(createFakeEngine(), rig.prefix) });
    expect(await rig.untilState(id, 'completed')).toMatchObject({ epoch: 1, attempt: 1 });
    expect(await rig.history(id)).toEqual(['submitted', 'claimed', 'adopted', 'started', 'completed']);
  });

  it('has its jobs adopted at once by a neighbour, which hears of it', async () => {
    const rig = openRig('stopping');
    const { context, stop, engine } = await openEndless(rig);
    const id = await rig.submit();
    await untilStarted(rig, id);
    const { context: next } = await rig.openWorker({ runtime: createFakeRuntime(engine, rig.prefix) });
    const letGo = vi.spyOn(context.store.adoptions, 'letGo');
    let letGoAt = Number.POSITIVE_INFINITY;
    letGo.mockImplementation(async (held, by) => {
      letGoAt = performance.now();
      letGo.mockRestore();
      return context.store.adoptions.letGo(held, by);
    });
    const stopping = stop('leave');
    await vi.waitFor(() => expect(next.leases.find(id)?.container).toBeDefined(), { timeout: 30_000, interval: 2 });
    // It would look by itself after 10 s.
    expect(performance.now() - letGoAt).toBeLessThan(5_000);
    await stopping;
  });

  it('and is told to kill after all, in the first moments, kills', async () => {
    const rig = openRig('stopping');
    const { worker, engine, stop } = await openEndless(rig);
    const id = await rig.submit();
    await untilStarted(rig, id);
    const leaving = worker.stop('leave');
    const killing = worker.stop('kill');
    await Promise.all([leaving, killing]);
    expect(engine.containers.size).toBe(0);
    expect((await rig.store.jobs.read(id))?.state).toBe('pending');
    expect(await rig.history(id)).toEqual(['submitted', 'claimed', 'started', 'released']);
    await stop();
  });

  it('and is told to kill when it has let go already, has let go', async () => {
    const rig = openRig('stopping');
    const { context, worker, states, stop } = await openEndless(rig);
    const id = await rig.submit();
    await untilStarted(rig, id);
    const letGoAll = vi.spyOn(context.leases, 'letGoAll');
    const leaving = worker.stop('leave');
    await vi.waitFor(() => expect(letGoAll).toHaveBeenCalled(), { timeout: 30_000, interval: 5 });
    await Promise.all([leaving, worker.stop('kill')]);
    expect(states()).toEqual(['running']);
    expect(await rig.store.jobs.read(id)).toMatchObject({ state: 'running', owner: null });
    await stop();
  });

  it('takes no time where it runs nothing', async () => {
    const rig = openRig('stopping');
    const took: number[] = [];
    for (let i = 0; i < 5; i++) {
      const { stop } = await openEndless(rig);
      const began = performance.now();
      await stop('leave');
      took.push(performance.now() - began);
    }
    expect(Math.min(...took), 'in none it waited for a second word').toBeLessThan(400);
  });

  it('of ten running jobs is gone soon: no container is killed, no attempt is used up, and the next one has them all', async () => {
    const rig = openRig('stopping');
    const docker = openDocker(rig);
    const { stop } = await rig.openWorker({}, { BERTH_CPUS: '2', BERTH_MEMORY_MB: '1000' });
    const command = 'trap "exit 0" USR1; echo ready; while :; do sleep 0.1; done';
    const ids = await Promise.all(Array.from({ length: 10 }, () => rig.submit({ command, ...NARROW })));
    for (const id of ids) await untilReady(rig, id);
    const before = await docker.list();
    const began = performance.now();
    await stop('leave');
    expect(performance.now() - began).toBeLessThan(20_000);
    const byId = (found: typeof before) => found.map(({ id, state }) => [id, state]).sort();
    expect(byId(await docker.list())).toEqual(byId(before));
    expect(before.map(({ state }) => state)).toEqual(Array(10).fill('running'));
    const { context } = await rig.openWorker({}, { BERTH_CPUS: '2', BERTH_MEMORY_MB: '1000' });
    await vi.waitFor(() => expect(context.leases.all().filter((hold) => hold.container)).toHaveLength(10), 60_000);
    for (const { id } of before) await new Docker().getContainer(id).kill({ signal: 'SIGUSR1' });
    for (const id of ids) {
      expect(await rig.untilState(id, 'completed')).toMatchObject({ epoch: 1, attempt: 1, attempts: [{ attempt: 1 }] });
      expect(await rig.history(id)).toEqual(['submitted', 'claimed', 'started', 'adopted', 'completed']);
      expect((await rig.readLog(id)).toString()).toBe('ready\n');
    }
    await vi.waitFor(async () => expect(await docker.list()).toEqual([]), { timeout: 30_000 });
    await docker.close();
  }, 240_000);
});

/** The lease of a job has run out, as if its worker had been silent for long. One that lives may renew it in between. */
const lapse = async (rig: Rig, { context }: OpenedWorker, job_id: string) => {
  await vi.waitFor(async () => {
    await context.redis.zadd(context.store.keys.leases, Date.now() - 6_000, job_id);
    expect(await rig.store.claims.expire(Date.now())).toEqual([job_id]);
  }, 30_000);
};

const LOST_AND_DONE = ['submitted', 'claimed', 'started', 'lost', 'claimed', 'started', 'completed'];

describe('a machine that is dead', () => {
  it('loses its job when the lease is over: another one runs it under a new epoch', async () => {
    const rig = openRig('stopping');
    const { drop, engine } = await openEndless(rig);
    const id = await rig.submit();
    await untilStarted(rig, id);
    await vi.waitFor(async () => expect((await rig.readLog(id)).toString()).toBe('so far'), 30_000);
    await drop();
    const other = createFakeEngine({
      info: { id: 'fake-engine-2', name: 'fake-node-2' },
      program: () => ({ output: [{ stream: 'stdout', data: 'again' }] }),
    });
    const opened = await rig.openWorker({ runtime: createFakeRuntime(other, rig.prefix) });
    expect((await rig.store.jobs.read(id))?.epoch).toBe(1);
    await lapse(rig, opened, id);
    const record = await rig.untilState(id, 'completed');
    expect(record).toMatchObject({ epoch: 2, attempt: 1, node: 'fake-node-2' });
    expect(record.attempts.map((one) => one.cause)).toEqual(['node_lost', null]);
    expect(await rig.history(id)).toEqual(LOST_AND_DONE);
    expect((await rig.readLog(id)).toString()).toMatch(/^so far\n\[berth\] .*\nagain$/);
    for (const reserved of ['fake-engine', 'fake-engine-2']) {
      expect(await rig.store.workers.readReserved(reserved)).toEqual(NOTHING);
    }
    engine.containers.clear();
  });

  it('and comes back to life finds its epoch over: it ends its container and writes nothing', async () => {
    const rig = openRig('stopping');
    const engine = createFakeEngine({
      program: ({ labels }) => (labels.epoch === 1 ? { until: new Promise(() => {}) } : {}),
    });
    const opened = await rig.openWorker({ runtime: createFakeRuntime(engine, rig.prefix) });
    const id = await rig.submit();
    await untilStarted(rig, id);
    const before = opened.context.leases.find(id);
    await lapse(rig, opened, id);
    await rig.untilState(id, 'completed');
    expect(before?.request).toBe('over');
    expect(await rig.history(id)).toEqual(LOST_AND_DONE);
    await vi.waitFor(() => expect(engine.containers.size).toBe(0), { timeout: 30_000 });
    expect(await rig.store.workers.readReserved('fake-engine')).toEqual(NOTHING);
  });
});
