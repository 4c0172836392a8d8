import type { JobRecord } from '@berth/store';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { createFakeClaims, createLogBook, toClaim } from '../test/fakes.js';
import { createDeadlineClock } from './deadline-clock.js';
import { FENCE_AFTER_MS } from './fence.js';
import { keepLeases } from './leases.js';
import { reconcile } from './reconcile.js';
import { createFakeEngine, createFakeRuntime } from './runtime/fake-runtime.js';

const record = (state: JobRecord['state'], epoch: number) => ({ state, epoch }) as JobRecord;

const open = async (jobs: string[], deadline = 4_000_000_000) => {
  const engine = createFakeEngine({ program: () => ({ until: new Promise(() => {}) }) });
  const runtime = createFakeRuntime(engine, 'test');
  const shape = { image: 'i', argv: [], env: {}, workdir: '/', centicpus: 1, memory_mb: 6 };
  for (const job_id of jobs) {
    const labels = { job_id, epoch: 1, attempt: 1, deadline, installation: 'test' };
    await runtime.create({ ...shape, network: 'none', profile: 'standard', name: job_id, labels });
  }
  const book = createLogBook();
  const leases = keepLeases(createFakeClaims().claims, book.log);
  onTestFinished(() => leases.close());
  const readJob = async (): Promise<JobRecord | null> => null;
  const options = { runtime, leases, readJob, clock: createDeadlineClock(), log: book.log };
  const start = async (job_id: string) => {
    const found = (await runtime.list()).find((one) => one.name === job_id);
    await runtime.open(found?.id ?? '').start(() => {});
  };
  return { engine, leases, options, book, start };
};

describe('reconcile', () => {
  it('removes what it found superfluous twice in a row', async () => {
    const { engine, options } = await open(['job-1']);
    const suspects = await reconcile(options, new Set());
    expect([engine.containers.size, suspects.size]).toEqual([1, 1]);
    expect((await reconcile(options, suspects)).size).toBe(0);
    expect(engine.containers.size).toBe(0);
  });

  it('leaves alone what a claim has come to own between the two looks, and what this worker runs', async () => {
    const { engine, options, leases } = await open(['job-1']);
    const suspects = await reconcile(options, new Set());
    const running = { ...options, readJob: async () => record('running', 1) };
    await reconcile(running, suspects);
    expect(engine.containers.size).toBe(1);
    leases.hold(toClaim());
    await reconcile(options, suspects);
    expect(engine.containers.size).toBe(1);
  });

  it('goes on after a container that cannot be removed', async () => {
    const { engine, options, book } = await open(['job-1', 'job-2']);
    const stuck = [...engine.containers.keys()][0];
    const runtime = {
      ...options.runtime,
      open: (id: string) => {
        const container = options.runtime.open(id);
        return id === stuck ? { ...container, remove: () => Promise.reject(new Error('busy')) } : container;
      },
    };
    const suspects = new Set(engine.containers.keys());
    await reconcile({ ...options, runtime }, suspects);
    expect([...engine.containers.keys()]).toEqual([stuck]);
    expect(book.find('could not end a container')).toBe(1);
  });

  it('forgets what was superfluous only once', async () => {
    const { engine, options } = await open(['job-1']);
    const suspects = await reconcile(options, new Set());
    const none = await reconcile({ ...options, readJob: async () => record('running', 1) }, suspects);
    expect(none.size).toBe(0);
    await reconcile(options, none);
    expect(engine.containers.size).toBe(1);
  });

  it('removes what this worker holds another epoch of', async () => {
    const { engine, options, leases } = await open(['job-1']);
    leases.hold(toClaim({ epoch: 2 }));
    const readJob = async () => record('running', 2);
    const suspects = await reconcile({ ...options, readJob }, new Set());
    await reconcile({ ...options, readJob }, suspects);
    expect(engine.containers.size).toBe(0);
  });

  it('kills what is past its deadline at once, and keeps it: it is the evidence', async () => {
    const { engine, options, start } = await open(['job-1', 'job-2'], 1_000);
    await start('job-1');
    const readJob = async () => record('running', 1);
    expect((await reconcile({ ...options, readJob }, new Set())).size).toBe(0);
    const states = [...engine.containers.values()].map((c) => [c.options.name, c.state]);
    expect(states).toEqual([
      ['job-1', 'ended'],
      ['job-2', 'created'],
    ]);
  });

  it('leaves a container past its deadline to the attempt that holds it', async () => {
    const { engine, options, leases, start } = await open(['job-1'], 1_000);
    await start('job-1');
    leases.hold(toClaim());
    await reconcile({ ...options, readJob: async () => record('running', 1) }, new Set());
    expect([...engine.containers.values()].map((c) => c.state)).toEqual(['running']);
  });

  it('unpauses what it holds and finds standing still, for whoever lost it did that after it was taken over', async () => {
    const { engine, options, leases, start } = await open(['job-1', 'job-2']);
    await start('job-1');
    await start('job-2');
    const running = { ...options, readJob: async () => record('running', 1) };
    const stillStand = () => [...engine.containers.values()].filter((c) => c.paused).map((c) => c.options.name);
    for (const id of engine.containers.keys()) await options.runtime.open(id).pause();
    const renewedAt = vi.spyOn(leases, 'renewedAt', 'get');
    leases.hold(toClaim());
    renewedAt.mockReturnValue(performance.now() - FENCE_AFTER_MS - 1);
    await reconcile(running, new Set());
    expect(stillStand()).toEqual(['job-1', 'job-2']);
    renewedAt.mockReturnValue(performance.now());
    await reconcile(running, new Set());
    expect(stillStand()).toEqual(['job-2']);
  });

  it('never looks at containers of other installations', async () => {
    const { engine, options } = await open(['job-1']);
    const foreign = { ...options, runtime: createFakeRuntime(engine, 'other') };
    expect((await reconcile(foreign, new Set(engine.containers.keys()))).size).toBe(0);
    expect(engine.containers.size).toBe(1);
  });
});
