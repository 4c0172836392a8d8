import { describe, expect, it, vi } from 'vitest';
import type { Container, ContainerRuntime } from '../src/runtime/container-runtime.js';
import { createFakeEngine, createFakeRuntime, type FakeWrite } from '../src/runtime/fake-runtime.js';
import { openCuttableBroker } from './cuttable-broker.js';
import { defer } from './fakes.js';
import { IMAGE, NOTHING, openRig, type Rig, untilOwned, untilStarted, untilWritten } from './open-rig.js';

const ADOPTED = ['submitted', 'claimed', 'started', 'adopted', 'completed'];
const NARROW = { cpus: 0.2, memory_mb: 32 };

/** Mostly on one stream: who reads on later gets it in fewer, larger pieces, so that the numbers of two writers' pieces differ. */
const WRITES = Array.from({ length: 400 }, (_, i): FakeWrite[] => [
  { stream: 'stdout', data: `out ${i}\n`, after_ms: 20 },
  ...(i % 50 === 49 ? [{ stream: 'stderr' as const, data: `err ${i}\n` }] : []),
]).flat();
const textOf = (stream: string) =>
  WRITES.filter((one) => one.stream === stream)
    .map((one) => one.data)
    .join('');

/** Notes what is done to containers beside making and starting them, and unpausing what runs, which does nothing. */
const watchTouches = (inner: ContainerRuntime) => {
  const touched: string[] = [];
  const wrap = (container: Container): Container => {
    const note =
      <A extends unknown[]>(what: string, work: (...args: A) => Promise<void>) =>
      (...args: A) => {
        touched.push(what);
        return work(...args);
      };
    const { stop, remove, pause } = container;
    return {
      ...container,
      stop: note('stop', stop),
      remove: note('remove', remove),
      pause: note('pause', pause),
    };
  };
  const create: ContainerRuntime['create'] = async (options) => wrap(await inner.create(options));
  const runtime = { ...inner, create, open: (id: string) => wrap(inner.open(id)) };
  return { runtime, touched };
};

describe('a worker that is cut off from the broker for longer than it may be silent', () => {
  it('finds that its job has moved: it writes nothing of it and does not touch its container', async () => {
    const rig = openRig('adoption');
    const broker = await openCuttableBroker();
    const end = defer();
    const engine = createFakeEngine({ program: () => ({ output: WRITES, until: end.promise }) });
    const { runtime, touched } = watchTouches(createFakeRuntime(engine, rig.prefix));
    const zombie = await rig.openWorker({ runtime }, { REDIS_URL: broker.url });
    const id = await rig.submit();
    await untilWritten(rig, id, 'out 20\n');
    const second = await rig.openWorker({ runtime: createFakeRuntime(engine, rig.prefix) });
    const hold = zombie.context.leases.find(id);
    await broker.cut();
    await untilOwned(rig, id, second);
    expect(hold?.leave).toBeUndefined();
    await broker.mend();
    await vi.waitFor(() => expect(hold?.leave).toBe('moved'), { timeout: 30_000 });
    expect(zombie.context.leases.find(id)).toBeUndefined();
    expect((await rig.store.jobs.read(id))?.owner).toBe(second.context.config.worker);
    await untilWritten(rig, id, 'err 399\n');
    end.resolve();
    expect(await rig.untilState(id, 'completed')).toMatchObject({ epoch: 1, attempt: 1 });
    expect(await rig.history(id)).toEqual(ADOPTED);
    expect((await rig.readLog(id, 'stdout')).toString()).toBe(textOf('stdout'));
    expect((await rig.readLog(id, 'stderr')).toString()).toBe(textOf('stderr'));
    expect(await rig.readLog(id, 'note')).toEqual(Buffer.alloc(0));
    expect(touched).toEqual([]);
    expect(zombie.book.lines.filter((line) => line.level > 40)).toEqual([]);
  }, 180_000);

  it('and gets its job back goes on with it like any other', async () => {
    const rig = openRig('adoption');
    const broker = await openCuttableBroker();
    const end = defer();
    const engine = createFakeEngine({ program: () => ({ output: WRITES, until: end.promise }) });
    const open = (env = {}) => rig.openWorker({ runtime: createFakeRuntime(engine, rig.prefix) }, env);
    const zombie = await open({ REDIS_URL: broker.url });
    const id = await rig.submit();
    await untilWritten(rig, id, 'out 20\n');
    const second = await open();
    const hold = zombie.context.leases.find(id);
    const { claims } = zombie.context.store;
    const { renew } = claims;
    let stuck = true;
    claims.renew = (held) => (stuck ? new Promise(() => {}) : renew(held));
    await broker.cut();
    await untilOwned(rig, id, second);
    await broker.mend();
    stuck = false;
    await second.stop('leave');
    await untilOwned(rig, id, zombie);
    const isHeldAnew = () => {
      const present = zombie.context.leases.find(id);
      return present !== undefined && present !== hold;
    };
    await vi.waitFor(() => expect(isHeldAnew()).toBe(true), { timeout: 20_000, interval: 5 });
    end.resolve();
    expect(await rig.untilState(id, 'completed')).toMatchObject({ epoch: 1, attempt: 1 });
    expect((await rig.history(id)).filter((type) => type === 'adopted')).toHaveLength(2);
    expect((await rig.readLog(id, 'stdout')).toString()).toBe(textOf('stdout'));
  }, 180_000);
});

describe('a worker that starts', () => {
  it('while a dead neighbour is still remembered adopts what that one left', async () => {
    const rig = openRig('adoption');
    const engine = createFakeEngine({ program: () => ({ until: new Promise(() => {}) }) });
    const open = () => rig.openWorker({ runtime: createFakeRuntime(engine, rig.prefix) });
    const dead = await open();
    const id = await rig.submit();
    await untilStarted(rig, id);
    await dead.drop();
    const { worker } = dead.context.config;
    await rig.redis.zadd(rig.store.keys.aliveOn('fake-engine'), Date.now() - 10_000, worker);
    const next = await open();
    await untilOwned(rig, id, next, 1_000);
  });
});

const COUNT = 1_000;

/** Holds who comes first until all have come. */
const createBarrier = (count: number) => {
  let open: () => void = () => undefined;
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  let come = 0;
  return (): Promise<void> => {
    come += 1;
    if (come === count) open();
    return opened;
  };
};

/** What a dead worker has left: running jobs, each with a container that has ended, and half of its output stored. */
const leaveMany = async (rig: Rig, engine: ReturnType<typeof createFakeEngine>): Promise<string[]> => {
  const capacity = { centicpus: 1_000_000, memory_mb: 100_000_000, gpus: 0 };
  const dead = {
    worker: 'dead',
    engine: 'fake-engine',
    node: 'fake-node',
    labels: {},
    region: 'default',
    datacenter: 'default',
    gpus: [],
    capacity,
  };
  const runtime = createFakeRuntime(engine, rig.prefix);
  const leave = async (): Promise<string> => {
    const id = await rig.submit(NARROW);
    const reply = await rig.store.claims.claim(id, dead);
    if (reply.kind !== 'claimed') throw new Error(`could not claim: ${reply.kind}`);
    await rig.store.claims.start(reply.claim, 'sha256:0');
    await rig.store.logs.append(reply.claim, {
      first: 1,
      pieces: [{ stream: 'stdout', attempt: 1, bytes: Buffer.from('one\n') }],
    });
    const made = await runtime.create({
      name: `berth-${id}-e1`,
      image: IMAGE,
      argv: ['true'],
      env: {},
      workdir: '/workspace',
      centicpus: 20,
      memory_mb: 32,
      network: 'none',
      profile: 'standard',
      labels: { job_id: id, epoch: 1, attempt: 1, deadline: 4_000_000_000, installation: rig.prefix },
    });
    await made.start(() => {});
    return id;
  };
  return Promise.all(Array.from({ length: COUNT }, leave));
};

describe('two workers that find the same thousand orphans', () => {
  it('share them: each is adopted once, ended once, and its log is whole', async () => {
    const rig = openRig('adoption');
    const engine = createFakeEngine({ program: () => ({ output: [{ stream: 'stdout', data: 'one\ntwo\n' }] }) });
    const ids = await leaveMany(rig, engine);
    const bothAreUp = createBarrier(2);
    const open = () => {
      const runtime = createFakeRuntime(engine, rig.prefix);
      return rig.openWorker({ runtime: { ...runtime, describe: () => bothAreUp().then(runtime.describe) } });
    };
    const workers = await Promise.all([open(), open()]);
    await vi.waitFor(
      async () =>
        expect(await rig.store.list.countByState(['running', 'completed'])).toEqual({ running: 0, completed: COUNT }),
      { timeout: 120_000, interval: 50 },
    );
    for (const id of ids) {
      expect(await rig.history(id)).toEqual(ADOPTED);
      expect((await rig.readLog(id)).toString()).toBe('one\ntwo\n');
      expect((await rig.store.jobs.read(id))?.attempts).toHaveLength(1);
    }
    const shares = workers.map(({ book }) => book.find('adopted a running job'));
    expect(shares.reduce((a, b) => a + b)).toBe(COUNT);
    expect(Math.min(...shares)).toBeGreaterThan(0);
    await vi.waitFor(() => expect(engine.containers.size).toBe(0), { timeout: 30_000 });
    expect(await rig.store.workers.readReserved('fake-engine')).toEqual(NOTHING);
  }, 240_000);
});
