import type { ExitReport } from '@berth/domain';
import { LEASE_MS } from '@berth/store';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { never, replyOf, settled, setUp, untilStep } from '../test/attempt-rig.js';

const EXITED = {
  kind: 'exited' as const,
  memory: { oom_kills: 0, oom_flag: false, peak_bytes: null },
  outside_signal: null,
  started_at: 1,
  finished_at: 2,
};

describe('a cancel', () => {
  const cancelled = { type: 'cancelled', cause: 'cancelled' };

  it('while the image is pulled: no container is made, and the pull is not waited for', async () => {
    const { run, leases, steps, record } = setUp({ runtime: () => ({ resolveImage: () => new Promise(() => {}) }) });
    const ending = run();
    leases.find('job-1')?.ask('cancel');
    await ending;
    expect(settled(record.settlements)).toMatchObject({ ...cancelled, exit_code: null });
    expect(steps).toEqual(['settle cancelled']);
  });

  it('whose notice came before the reply to the claim: no container is made', async () => {
    const { run, leases, steps } = setUp();
    leases.cancel('job-1');
    await run();
    expect(steps.filter((step) => step !== 'container created')).toEqual(
      expect.not.arrayContaining(['container started']),
    );
    expect(steps).toContain('settle cancelled');
  });

  it('between create and start: the container is never started, and is removed', async () => {
    const { run, leases, steps } = setUp({
      runtime: (fake) => ({
        create: async (options) => {
          const made = await fake.create(options);
          leases.find('job-1')?.ask('cancel');
          return { ...made, start: () => Promise.reject(new Error('must not be started')) };
        },
      }),
    });
    await run();
    expect(steps).toEqual(['settle cancelled']);
  });

  it('while it starts: it is stopped with its grace time', async () => {
    const { run, leases, steps, record } = setUp({
      program: { until: never },
      spec: { stop_grace_seconds: 7 },
      container: (fake) => ({
        start: async (sink) => {
          await fake.start(sink);
          leases.find('job-1')?.ask('cancel');
        },
      }),
    });
    await run();
    expect(steps).toContain('container stopped 7');
    expect(settled(record.settlements)).toMatchObject({ ...cancelled, exit_code: 143 });
  });

  it('while it runs, by notice or by the reply to the note of the start', async () => {
    const noticed = setUp({ program: { until: never } });
    const ending = noticed.run();
    await untilStep(noticed.steps, 'start');
    noticed.leases.cancel('job-1');
    await ending;
    expect(settled(noticed.record.settlements)).toMatchObject(cancelled);

    const told = setUp({ program: { until: never }, claims: { start: async () => 'cancel' } });
    await told.run();
    expect(settled(told.record.settlements)).toMatchObject(cancelled);
  });

  it('is what a job is called that ended with 0 after it was asked for', async () => {
    const { run, leases, record, steps } = setUp({
      program: { until: never },
      container: (fake) => ({
        ended: async (): Promise<ExitReport> => {
          await fake.ended();
          return { ...EXITED, exit_code: 0 };
        },
      }),
    });
    const ending = run();
    await untilStep(steps, 'start');
    leases.cancel('job-1');
    await ending;
    expect(settled(record.settlements)).toMatchObject({ ...cancelled, exit_code: 0 });
  });
});

describe('a timeout', () => {
  it('counts from the start and stops the container', async () => {
    vi.useFakeTimers();
    onTestFinished(() => void vi.useRealTimers());
    const { run, record, steps } = setUp({ program: { until: never }, spec: { timeout_seconds: 60 } });
    const ending = run();
    await vi.advanceTimersByTimeAsync(59_900);
    expect(steps).toEqual(['container created', 'container started', 'start']);
    await vi.advanceTimersByTimeAsync(200);
    await ending;
    expect(steps).toContain('container stopped 10');
    expect(settled(record.settlements)).toMatchObject({ type: 'failed', cause: 'timeout', exit_code: 143 });
  });

  it('does not take away an end with 0', async () => {
    const { run, record, leases, steps } = setUp({
      program: { until: never },
      container: (fake) => ({
        ended: async (): Promise<ExitReport> => {
          await fake.ended();
          return { ...EXITED, exit_code: 0 };
        },
      }),
    });
    const ending = run();
    await untilStep(steps, 'start');
    leases.find('job-1')?.ask('timeout');
    await ending;
    expect(settled(record.settlements)).toMatchObject({ type: 'completed', cause: null });
  });
});

describe('an epoch that is over', () => {
  it('is not written to, and its container goes at once', async () => {
    const { run, leases, steps, record, engine } = setUp({ program: { until: never } });
    const ending = run();
    await untilStep(steps, 'start');
    leases.find('job-1')?.ask('over');
    expect(replyOf(await ending)).toBeUndefined();
    expect(record.settlements).toEqual([]);
    expect(steps).toContain('container stopped 0');
    expect(engine.containers.size).toBe(0);
    expect(leases.size).toBe(0);
  });

  it('or moved, which of them a refused note of the start does not tell: the next renewal does', async () => {
    vi.useFakeTimers();
    onTestFinished(() => void vi.useRealTimers());
    const claims = { start: async () => 'stale' as const, renew: vi.fn().mockResolvedValueOnce(['held']) };
    claims.renew.mockResolvedValue(['over']);
    const { run, record, engine } = setUp({ program: { until: never }, claims });
    const ending = run();
    await vi.advanceTimersByTimeAsync(100);
    expect([...engine.containers.values()].map((c) => c.state)).toEqual(['running']);
    await vi.advanceTimersByTimeAsync(LEASE_MS / 4);
    expect(replyOf(await ending)).toBeUndefined();
    expect(record.settlements).toEqual([]);
    expect(engine.containers.size).toBe(0);
  });

  it('cuts short the grace time of an earlier request', async () => {
    const { run, leases, steps } = setUp({
      program: { until: never },
      spec: { stop_grace_seconds: 300 },
      container: (fake) => ({ stop: (grace) => (grace > 0 ? new Promise(() => {}) : fake.stop(grace)) }),
    });
    const ending = run();
    await untilStep(steps, 'start');
    leases.find('job-1')?.ask('cancel');
    leases.find('job-1')?.ask('over');
    expect(replyOf(await ending)).toBeUndefined();
  });
});

describe('a release', () => {
  it('gives the job back without a cause', async () => {
    const { run, leases, steps, record } = setUp({ program: { until: never } });
    const ending = run();
    await untilStep(steps, 'start');
    leases.releaseAll();
    await ending;
    expect(settled(record.settlements)).toMatchObject({ type: 'released', cause: null, exit_code: null });
    expect(steps).toContain('container stopped 2');
  });

  it('lets stand what completed all the same', async () => {
    const { run, leases, record, steps } = setUp({
      program: { until: never },
      container: (fake) => ({
        ended: async (): Promise<ExitReport> => {
          await fake.ended();
          return { ...EXITED, exit_code: 0 };
        },
      }),
    });
    const ending = run();
    await untilStep(steps, 'start');
    leases.releaseAll();
    await ending;
    expect(settled(record.settlements)).toMatchObject({ type: 'completed', exit_code: 0 });
  });

  it('reaches a claim that came after it: nothing is created', async () => {
    const { run, leases, steps, context } = setUp();
    leases.releaseAll();
    context.runtime.resolveImage = () => new Promise(() => {});
    await run();
    expect(steps).toEqual(['settle released']);
  });
});
