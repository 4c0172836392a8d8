import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { createFakeClaims, createLogBook } from '../test/fakes.js';
import type { WorkerContext } from './context.js';
import { startHousekeeping } from './housekeeping.js';
import { keepLeases } from './leases.js';
import type { SignOfLife } from './pulse.js';
import { RECONCILE_MS } from './reconcile.js';
import { createFakeEngine, createFakeRuntime } from './runtime/fake-runtime.js';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const shape = { image: 'i', argv: [], env: {}, workdir: '/', centicpus: 1, memory_mb: 6 };

/** An engine, and a record that knows of no job: every container is superfluous. */
const open = () => {
  const engine = createFakeEngine({ program: () => ({ until: new Promise(() => {}) }) });
  const runtime = createFakeRuntime(engine, 'test');
  const { claims } = createFakeClaims();
  const { log } = createLogBook();
  const leases = keepLeases(claims, log);
  onTestFinished(() => leases.close());
  const gate: { onBack: (() => void) | undefined } = { onBack: undefined };
  const adopt = vi.fn(async () => undefined);
  const context = { runtime, leases, gate, log, store: { claims, jobs: { read: async () => null } } };
  const pulse = { steadyFor: () => 0, brokerTime: 0 } as unknown as SignOfLife;
  const place = async (name: string) => {
    const labels = { job_id: name, epoch: 1, attempt: 1, deadline: 4_000_000_000, installation: 'test' };
    await runtime.create({ ...shape, network: 'none', profile: 'standard', name, labels });
  };
  const start = async () => {
    const started = await startHousekeeping({ context: context as unknown as WorkerContext, pulse, adopt });
    onTestFinished(started.close);
  };
  const comeBack = async () => {
    gate.onBack?.();
    await vi.advanceTimersByTimeAsync(0);
  };
  const names = () => [...engine.containers.values()].map(({ options }) => options.name);
  return { place, start, comeBack, names, adopt };
};

describe('the look when the engine is back', () => {
  it('is no second sighting, though it follows the first at once', async () => {
    const { place, start, comeBack, names, adopt } = open();
    await place('job-1');
    await start();
    await comeBack();
    expect(adopt).toHaveBeenCalledTimes(2);
    expect(names()).toEqual(['job-1']);
    await vi.advanceTimersByTimeAsync(RECONCILE_MS);
    expect(names()).toEqual([]);
  });

  it('is no first one either: the next pass may follow it at once', async () => {
    const { place, start, comeBack, names } = open();
    await start();
    await vi.advanceTimersByTimeAsync(RECONCILE_MS - 1);
    await place('job-1');
    await comeBack();
    await vi.advanceTimersByTimeAsync(1);
    expect(names()).toEqual(['job-1']);
    await vi.advanceTimersByTimeAsync(RECONCILE_MS);
    expect(names()).toEqual([]);
  });
});
