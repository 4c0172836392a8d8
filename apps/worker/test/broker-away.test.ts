import { describe, expect, it, vi } from 'vitest';
import { createFakeEngine, createFakeRuntime } from '../src/runtime/fake-runtime.js';
import { openCuttableBroker } from './cuttable-broker.js';
import { defer } from './fakes.js';
import { NOTHING, openRig, untilStarted } from './open-rig.js';

const openCutWorker = async () => {
  const ends = [defer(), defer()];
  const broker = await openCuttableBroker();
  const rig = openRig('away');
  let started = 0;
  const engine = createFakeEngine({
    program: () => {
      const until = ends[started]?.promise ?? Promise.resolve();
      started += 1;
      return { until, output: [{ stream: 'stdout', data: 'hi\n' }] };
    },
  });
  const opened = await rig.openWorker({ runtime: createFakeRuntime(engine, rig.prefix) }, { REDIS_URL: broker.url });
  return { ...opened, rig, broker, engine, ends };
};

describe('a broker that goes away', () => {
  it('is waited for: a job that ends meanwhile is recorded once, and the next one runs', async () => {
    const { rig, broker, engine, ends, book } = await openCutWorker();
    const id = await rig.submit();
    await untilStarted(rig, id);
    await broker.cut();
    ends[0]?.resolve();
    await vi.waitFor(() => expect(engine.containers.values().next().value?.state).toBe('ended'), 30_000);
    await vi.waitFor(() => expect(book.find('the broker does not answer')).toBeGreaterThan(0), 30_000);
    expect((await rig.store.jobs.read(id))?.state).toBe('running');
    await broker.mend();
    await rig.untilState(id, 'completed');
    expect(await rig.history(id)).toEqual(['submitted', 'claimed', 'started', 'completed']);
    expect((await rig.readLog(id)).toString()).toBe('hi\n');
    ends[1]?.resolve();
    await rig.untilState(await rig.submit(), 'completed');
    expect(await rig.store.workers.readReserved('fake-engine')).toEqual(NOTHING);
    expect(book.lines.filter((line) => line.level > 40)).toEqual([]);
  });

  it.each(['kill', 'leave'] as const)('does not keep a worker from stopping: %s', async (mode) => {
    const { rig, broker, engine, stop } = await openCutWorker();
    const id = await rig.submit();
    await untilStarted(rig, id);
    await broker.cut();
    const began = performance.now();
    await stop(mode);
    if (mode === 'leave') expect(performance.now() - began).toBeLessThan(15_000);
    expect([...engine.containers.values()].map((c) => c.state)).toEqual([mode === 'leave' ? 'running' : 'ended']);
    expect(await rig.store.jobs.read(id)).toMatchObject({ state: 'running', attempts: [] });
    await broker.mend();
  });

  it('costs a job nothing that another machine could have claimed: it stands still meanwhile, and goes on', async () => {
    const { rig, broker, engine, ends, context } = await openCutWorker();
    const id = await rig.submit();
    await untilStarted(rig, id);
    const other = createFakeEngine({ info: { id: 'fake-engine-2' } });
    await rig.openWorker({ runtime: createFakeRuntime(other, rig.prefix) });
    const isPaused = () => [...engine.containers.values()].map((c) => c.paused);
    const beat = vi.spyOn(context.store.adoptions, 'beat');
    await vi.waitFor(() => expect(beat.mock.settledResults.at(-1)?.type).toBe('fulfilled'), 30_000);
    await broker.cut();
    await vi.waitFor(() => expect(isPaused()).toEqual([true]), { timeout: 60_000, interval: 10 });
    const lease = Number(await rig.redis.zscore(rig.store.keys.leases, id)) - Date.now();
    expect(lease).toBeGreaterThan(0);
    await broker.mend();
    await vi.waitFor(() => expect(isPaused()).toEqual([false]), { timeout: 60_000, interval: 50 });
    ends[0]?.resolve();
    expect(await rig.untilState(id, 'completed')).toMatchObject({ epoch: 1, attempt: 1 });
    expect(await rig.history(id)).toEqual(['submitted', 'claimed', 'started', 'completed']);
    expect(other.containers.size).toBe(0);
  }, 180_000);
});
