import { describe, expect, it, vi } from 'vitest';
import { createDockerRuntime } from '../src/runtime/docker/docker-runtime.js';
import { createFakeEngine, createFakeRuntime } from '../src/runtime/fake-runtime.js';
import { defer } from './fakes.js';
import { IMAGE, NOTHING, openRig, type Rig, untilStarted } from './open-rig.js';

const STUBBORN = 'trap "" TERM; echo ready; while :; do sleep 1; done';
const NARROW = { cpus: 0.1, memory_mb: 32 };

const untilReady = (rig: Rig, id: string) =>
  vi.waitFor(async () => expect((await rig.readLog(id)).toString()).toBe('ready\n'), { timeout: 20_000, interval: 10 });

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
    await vi.waitFor(async () => expect(await context.runtime.list()).toEqual([]), { timeout: 10_000 });
    expect(await rig.store.workers.readReserved(context.engine.id)).toEqual(NOTHING);
    expect(await rig.history(id)).toEqual(['submitted', 'claimed', 'started', 'cancel_requested', 'cancelled']);
  });
});

describe('a worker that stops', () => {
  it('gives its jobs back within 5 s and leaves no container; the next one runs them', async () => {
    const rig = openRig('stopping');
    const { context, stop } = await rig.openWorker();
    const ids = await Promise.all(
      [0, 1, 2].map(() => rig.submit({ command: STUBBORN, stop_grace_seconds: 300, ...NARROW })),
    );
    for (const id of ids) await untilReady(rig, id);
    const began = performance.now();
    await stop();
    expect(performance.now() - began).toBeLessThan(5_000);
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
    const claim = claims.claim;
    claims.claim = async (...args) => {
      const reply = await claim(...args);
      claimed.resolve();
      await answered.promise;
      return reply;
    };
    const id = await rig.submit();
    await claimed.promise;
    const stopping = stop();
    answered.resolve();
    await stopping;
    expect([context.leases.size, engine.containers.size]).toEqual([0, 0]);
    expect((await rig.store.jobs.read(id))?.state).toBe('pending');
    expect(await rig.history(id)).toEqual(['submitted', 'claimed', 'released']);
  });
});

/** What a worker leaves that was killed while its container ran: a claim that nobody renews, and the container. */
const leaveAsDead = async (rig: Rig, engine: string) => {
  const id = await rig.submit({ command: 'echo again', ...NARROW });
  const capacity = { centicpus: 100, memory_mb: 1_000, gpus: 0 };
  const reply = await rig.store.claims.claim(id, { worker: 'dead', engine, node: 'dead', capacity });
  if (reply.kind !== 'claimed') throw new Error(`could not claim: ${reply.kind}`);
  await rig.store.claims.start(reply.claim, 'sha256:0');
  return id;
};

describe('a worker that was killed', () => {
  it('loses its job when its lease is over: run again under a new epoch, the old container gone', async () => {
    const rig = openRig('stopping');
    const docker = openDocker(rig);
    const id = await leaveAsDead(rig, (await docker.describe()).id);
    const left = await docker.create({
      name: `berth-${id}-e1`,
      image: IMAGE,
      argv: ['sleep', '600'],
      env: {},
      workdir: '/workspace',
      centicpus: 10,
      memory_mb: 32,
      network: 'none',
      profile: 'standard',
      labels: { job_id: id, epoch: 1, attempt: 1, deadline: 4_000_000_000, installation: rig.prefix },
    });
    await left.start(() => {});
    const { context } = await rig.openWorker();
    await context.redis.zadd(context.store.keys.leases, Date.now() - 6_000, id);
    expect(await rig.store.claims.expire()).toEqual([id]);
    const record = await rig.untilState(id, 'completed', 20_000);
    expect(record).toMatchObject({ epoch: 2, attempt: 1 });
    expect(record.attempts.map((one) => one.cause)).toEqual(['node_lost', null]);
    expect(await left.ended()).toEqual({ kind: 'removed' });
    await vi.waitFor(async () => expect(await docker.list()).toEqual([]), { timeout: 10_000 });
    await docker.close();
    expect((await rig.readLog(id)).toString()).toBe('again\n');
  });

  it('and comes back to life finds its epoch lost: it ends its container and writes nothing', async () => {
    const rig = openRig('stopping');
    const engine = createFakeEngine({
      program: ({ labels }) => (labels.epoch === 1 ? { until: new Promise(() => {}) } : {}),
    });
    const { context } = await rig.openWorker({ runtime: createFakeRuntime(engine, rig.prefix) });
    const id = await rig.submit();
    await untilStarted(rig, id);
    const before = context.leases.find(id);
    await context.redis.zadd(context.store.keys.leases, Date.now() - 6_000, id);
    expect(await rig.store.claims.expire()).toEqual([id]);
    await rig.untilState(id, 'completed');
    expect(before?.request).toBe('lost');
    expect(await rig.history(id)).toEqual([
      'submitted',
      'claimed',
      'started',
      'lost',
      'claimed',
      'started',
      'completed',
    ]);
    await vi.waitFor(() => expect(engine.containers.size).toBe(0), { timeout: 10_000 });
    expect(await rig.store.workers.readReserved('fake-engine')).toEqual(NOTHING);
  });
});
