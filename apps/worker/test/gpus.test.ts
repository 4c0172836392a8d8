import { randomUUID } from 'node:crypto';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import type { ContainerOptions } from '../src/runtime/container-runtime.js';
import { createDockerRuntime } from '../src/runtime/docker/docker-runtime.js';
import { createFakeEngine, createFakeRuntime, type FakeEngine } from '../src/runtime/fake-runtime.js';
import { pause } from '../src/waiting.js';
import { IMAGE, PROGRAMS, toOptions } from './conformance.js';
import { defer } from './fakes.js';
import { NOTHING, openRig, type Rig, untilStarted } from './open-rig.js';

const GPUS = [0, 1, 2, 3].map((index) => ({ index, uuid: `GPU-${index}`, name: 'Fake A100', memory_mb: 40_000 }));
const MACHINE = { BERTH_CPUS: '32', BERTH_MEMORY_MB: '8192', BERTH_GPUS: JSON.stringify(GPUS) };

const uuidsOf = (options: ContainerOptions): string[] => options.gpus?.uuids ?? [];

/** An engine that notes whatever two containers hold at the same time, and how many GPUs were ever held at once. */
const createWatchedEngine = (toEnd: () => Promise<unknown>) => {
  const seen = { shared: [] as string[], most: 0 };
  const engine: FakeEngine = createFakeEngine({
    program: (options) => {
      const present = [...engine.containers.values()].filter((c) => c.state !== 'ended').map((c) => c.options);
      const held = present.flatMap(uuidsOf);
      seen.shared.push(...uuidsOf(options).filter((uuid) => held.includes(uuid)));
      seen.most = Math.max(seen.most, new Set([...held, ...uuidsOf(options)]).size);
      return { until: toEnd() };
    },
  });
  return { engine, seen };
};

const untilAllCompleted = async (rig: Rig, ids: string[]) => {
  for (const id of ids) await rig.untilState(id, 'completed', 120_000);
};

describe('the GPUs of a machine', () => {
  it('are never given to two jobs at once by its two workers, and none is left idle', async () => {
    const rig = openRig('gpus');
    const filled = defer();
    const { engine, seen } = createWatchedEngine(() => {
      if (seen.most === GPUS.length) filled.resolve();
      return filled.promise.then(() => pause(20));
    });
    const open = () => rig.openWorker({ runtime: createFakeRuntime(engine, rig.prefix) }, MACHINE);
    const workers = [await open(), await open()];
    const ids = await Promise.all(
      Array.from({ length: 60 }, (_, i) => rig.submit({ memory_mb: 16, gpus: { count: 1 + (i % 3), type: 'a100' } })),
    );
    await untilAllCompleted(rig, ids);
    expect(seen.shared).toEqual([]);
    expect(seen.most).toBe(4);
    expect(await rig.store.workers.readReserved('fake-engine')).toEqual(NOTHING);
    const [node] = await rig.store.workers.readNodes();
    expect(node).toMatchObject({ capacity: { gpus: 4 }, gpu_holds: [], running_jobs: [] });
    expect(node?.workers).toHaveLength(workers.length);
  });

  it('are shared by slices as far as they fit, and not with whoever wants one whole', async () => {
    const rig = openRig('gpus');
    const end = defer();
    const { engine } = createWatchedEngine(() => end.promise);
    const one = { ...MACHINE, BERTH_GPUS: JSON.stringify(GPUS.slice(0, 1)) };
    for (let i = 0; i < 2; i++) await rig.openWorker({ runtime: createFakeRuntime(engine, rig.prefix) }, one);
    const slice = (memory_mb: number) => rig.submit({ memory_mb: 16, gpus: { memory_mb } });
    const slices = [await slice(20_000), await slice(15_000)];
    for (const id of slices) await untilStarted(rig, id);
    const whole = await rig.submit({ memory_mb: 16, gpus: {} });
    const large = await slice(6_000);
    const small = await slice(5_000);
    await untilStarted(rig, small);
    const [node] = await rig.store.workers.readNodes();
    expect(node?.gpu_holds.map(({ job_id, memory_mb }) => [job_id, memory_mb])).toEqual(
      expect.arrayContaining([
        [slices[0], 20_000],
        [slices[1], 15_000],
        [small, 5_000],
      ]),
    );
    expect(node).toMatchObject({ reserved: { gpus: 1 }, running_jobs: { length: 3 } });
    for (const id of [whole, large])
      expect(await rig.store.jobs.read(id)).toMatchObject({ state: 'pending', epoch: 0 });
    end.resolve();
    await untilAllCompleted(rig, [...slices, whole, large, small]);
  });

  it('are told to the job, and to one that has none that it has none, on a real engine', async () => {
    const rig = openRig('gpus');
    const { context } = await rig.openWorker({}, { ...MACHINE, BERTH_CPUS: '2' });
    expect(context.served.map((c) => c.name)).toContain('gpu');
    const command = 'echo "$CUDA_VISIBLE_DEVICES|$NVIDIA_VISIBLE_DEVICES"';
    const env = { NVIDIA_VISIBLE_DEVICES: 'all', CUDA_VISIBLE_DEVICES: '0' };
    const two = await rig.submit({ command, env, memory_mb: 16, cpus: 0.5, gpus: { count: 2 } });
    const none = await rig.submit({ command, env, memory_mb: 16, cpus: 0.5 });
    await untilAllCompleted(rig, [two, none]);
    const [held] = (await rig.readLog(two)).toString().split('|');
    expect(held?.split(',').sort()).toEqual(['GPU-0', 'GPU-1']);
    expect((await rig.readLog(two)).toString()).toBe(`${held}|${held}\n`);
    expect((await rig.readLog(none)).toString()).toBe('|void\n');
  });
});

describe('real GPUs', () => {
  it('are asked of the engine, whose refusal is its own trouble and not the fault of the job', async () => {
    const installation = `test-gpus-${randomUUID()}`;
    const runtime = createDockerRuntime({ installation, probe_image: IMAGE });
    onTestFinished(() => runtime.close());
    const gpus = { uuids: ['GPU-00000000-not-on-any-machine'], fake: false };
    const container = await runtime.create(toOptions(PROGRAMS.hello, installation, { gpus }));
    onTestFinished(() => container.remove());
    const fault = await container.start(() => {}).catch((error: unknown) => error);
    expect(fault).toMatchObject({ code: 'start_failed', retryable: true });
    expect(String(fault)).toMatch(/device|gpu|nvidia/i);
  });
});

describe('a job for certain machines', () => {
  it('waits for one with its labels, in its region and datacenter, with GPUs of its type', async () => {
    const rig = openRig('gpus');
    const { engine } = createWatchedEngine(() => pause(5));
    const there = createFakeEngine({ info: { id: 'there', name: 'there' } });
    await rig.openWorker({ runtime: createFakeRuntime(engine, rig.prefix) }, { ...MACHINE, BERTH_REGION: 'eu' });
    const asks = [
      { node_selector: { disk: 'ssd' } },
      { eligible_regions: ['us', 'asia'] },
      { eligible_datacenters: ['dc1'] },
      { gpus: { type: 'H100' } },
    ];
    const ids = await Promise.all(asks.map((ask) => rig.submit({ memory_mb: 16, ...ask })));
    const anywhere = await rig.submit({ memory_mb: 16, eligible_regions: ['eu'] });
    await rig.untilState(anywhere, 'completed');
    for (const id of ids) expect((await rig.store.jobs.read(id))?.state).toBe('pending');
    await rig.openWorker(
      { runtime: createFakeRuntime(there, rig.prefix) },
      {
        BERTH_LABELS: 'disk=ssd,rack=7',
        BERTH_REGION: 'us',
        BERTH_DATACENTER: 'dc1',
        BERTH_GPUS: JSON.stringify([{ index: 0, uuid: 'GPU-h', name: 'NVIDIA H100 80GB HBM3', memory_mb: 80_000 }]),
      },
    );
    await untilAllCompleted(rig, ids);
    for (const id of ids) expect((await rig.store.jobs.read(id))?.node).toBe('there');
  });

  it('starts on a drained one only when that is resumed', async () => {
    const rig = openRig('gpus');
    const { engine } = createWatchedEngine(() => pause(5));
    const { context } = await rig.openWorker({ runtime: createFakeRuntime(engine, rig.prefix) }, MACHINE);
    await vi.waitFor(async () => expect(await rig.store.drains.drain('fake-node')).toBe(true), 30_000);
    const id = await rig.submit({ memory_mb: 16 });
    await vi.waitFor(async () => expect(await rig.redis.exists(rig.store.keys.hungry('small'))).toBe(1), 30_000);
    expect((await rig.store.jobs.read(id))?.state).toBe('pending');
    const { signals } = context.room;
    await rig.store.drains.resume('fake-node');
    await vi.waitFor(() => expect(context.room.signals, 'it is told').toBeGreaterThan(signals), 30_000);
    await rig.untilState(id, 'completed');
  });
});
