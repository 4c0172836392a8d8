import { describe, expect, it, vi } from 'vitest';
import { LOOK_AGAIN_MS } from '../src/room.js';
import {
  createFakeEngine,
  createFakeRuntime,
  type FakeEngine,
  type FakeEngineOptions,
} from '../src/runtime/fake-runtime.js';
import { pause } from '../src/waiting.js';
import { defer } from './fakes.js';
import { NOTHING, openRig, type Rig } from './open-rig.js';

const SIZES = [
  { cpus: 0.25, memory_mb: 64 },
  { cpus: 1, memory_mb: 128 },
  { cpus: 0.5, memory_mb: 900 },
  { cpus: 2, memory_mb: 256 },
  { cpus: 1.5, memory_mb: 1_500 },
];
const CAPACITY = { centicpus: 200, memory_mb: 2_048 };
const ALONE_MS = 500;
const MACHINE = { BERTH_CPUS: '2', BERTH_MEMORY_MB: '2048' };

/** An engine that notes the most that ever stood on it at once. */
const createWatchedEngine = (program: FakeEngineOptions['program'] = () => ({ until: pause(5) })) => {
  const most = { centicpus: 0, memory_mb: 0 };
  const engine: FakeEngine = createFakeEngine({
    program: (options) => {
      const present = [...engine.containers.values()].filter((c) => c.state !== 'ended').map((c) => c.options);
      for (const what of ['centicpus', 'memory_mb'] as const) {
        most[what] = Math.max(
          most[what],
          [...present, options].reduce((sum, one) => sum + one[what], 0),
        );
      }
      return program(options);
    },
  });
  return { engine, most };
};

const submitMixed = (rig: Rig, count: number) =>
  Promise.all(Array.from({ length: count }, (_, i) => rig.submit(SIZES[i % SIZES.length])));

const untilAllCompleted = async (rig: Rig, ids: string[]) => {
  for (const id of ids) await rig.untilState(id, 'completed', 120_000);
};

describe('a machine', () => {
  it('is filled by 60 jobs of several sizes, never overfilled, and empty in the end', async () => {
    const rig = openRig('ledger');
    const { engine, most } = createWatchedEngine();
    const { claims, book, context } = await rig.openWorker({ runtime: createFakeRuntime(engine, rig.prefix) }, MACHINE);
    const began = performance.now();
    const ids = await submitMixed(rig, 60);
    await untilAllCompleted(rig, ids);
    expect(most.centicpus).toBe(CAPACITY.centicpus);
    expect(most.memory_mb).toBeLessThanOrEqual(CAPACITY.memory_mb);
    await vi.waitFor(() => expect(engine.containers.size).toBe(0), { timeout: 30_000 });
    expect(await rig.store.workers.readReserved('fake-engine')).toEqual(NOTHING);
    // Each end wakes each of two classes once at most, and each start is a claim; and each class looks again by the clock.
    const looks = Math.ceil((performance.now() - began) / LOOK_AGAIN_MS) * context.served.length;
    expect(claims()).toBeLessThanOrEqual(60 * 3 + looks);
    expect(book.lines.filter((line) => line.level > 30)).toEqual([]);
    for (const id of ids) expect(await rig.history(id)).toEqual(['submitted', 'claimed', 'started', 'completed']);
  }, 240_000);

  it('is shared by two workers, who keep one ledger', async () => {
    const rig = openRig('ledger');
    const { engine, most } = createWatchedEngine();
    const open = () => rig.openWorker({ runtime: createFakeRuntime(engine, rig.prefix) }, MACHINE);
    const workers = await Promise.all([open(), open()]);
    const ids = await submitMixed(rig, 60);
    await untilAllCompleted(rig, ids);
    expect(most.centicpus).toBe(CAPACITY.centicpus);
    expect(most.memory_mb).toBeLessThanOrEqual(CAPACITY.memory_mb);
    expect(await rig.store.workers.readReserved('fake-engine')).toEqual(NOTHING);
    const started = workers.map(({ book }) => book.find('attempt started'));
    expect(started.reduce((a, b) => a + b)).toBe(60);
    expect(Math.min(...started)).toBeGreaterThan(0);
  }, 240_000);
});

describe('a big job among small ones that never cease', () => {
  it('gets the machine once that is kept free for it, and they go on behind it', async () => {
    const rig = openRig('ledger');
    const running: (() => void)[] = [];
    let [smalls, isKept] = [0, false];
    /** One ends only when the next has started, so two CPUs are never free. Where no other starts any more, the last ends by itself. */
    const startSmall = () => {
      const end = defer();
      smalls += 1;
      running.push(end.resolve);
      if (running.length === 2) running.shift()?.();
      return { until: isKept ? Promise.race([end.promise, pause(ALONE_MS)]) : end.promise };
    };
    const engine = createFakeEngine({ program: ({ centicpus }) => (centicpus === 200 ? {} : startSmall()) });
    const small = await Promise.all(Array.from({ length: 40 }, () => rig.submit({ cpus: 1 })));
    const big = await rig.submit({ cpus: 2, priority: 100 });
    await rig.openWorker({ runtime: createFakeRuntime(engine, rig.prefix) }, MACHINE);
    // The most urgent of all, and it would never come: the small ones pass it.
    await vi.waitFor(() => expect(smalls).toBeGreaterThan(10), { timeout: 60_000 });
    expect((await rig.store.jobs.read(big))?.state).toBe('pending');

    isKept = true;
    const left = { centicpus: 0, memory_mb: 0, gpus: 0 };
    await rig.redis.hset(rig.store.keys.reservation('fake-engine'), { job: big, at: Date.now(), ...left });
    const atKept = smalls;
    for (const end of running.splice(0)) end();
    await rig.untilState(big, 'completed');
    expect(smalls - atKept).toBeLessThanOrEqual(2);
    expect(await rig.redis.exists(rig.store.keys.reservation('fake-engine'))).toBe(0);
    await untilAllCompleted(rig, small);
  }, 240_000);
});
