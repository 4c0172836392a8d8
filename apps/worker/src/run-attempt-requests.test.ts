import type { ExitReport } from '@berth/domain';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { never, settled, setUp, untilStep } from '../test/attempt-rig.js';

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
          return { kind: 'exited', exit_code: 0, oom_killed: false, started_at: 1, finished_at: 2 };
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
          return { kind: 'exited', exit_code: 0, oom_killed: false, started_at: 1, finished_at: 2 };
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

describe('an epoch that is lost', () => {
  it('is not written to, and its container goes at once', async () => {
    const { run, leases, steps, record, engine } = setUp({ program: { until: never } });
    const ending = run();
    await untilStep(steps, 'start');
    leases.find('job-1')?.ask('lost');
    expect((await ending).reply).toBeUndefined();
    expect(record.settlements).toEqual([]);
    expect(steps).toContain('container stopped 0');
    expect(engine.containers.size).toBe(0);
    expect(leases.size).toBe(0);
  });

  it('is learnt from the reply to the note of the start', async () => {
    const { run, record, engine } = setUp({ program: { until: never }, claims: { start: async () => 'stale' } });
    expect((await run()).reply).toBeUndefined();
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
    leases.find('job-1')?.ask('lost');
    expect((await ending).reply).toBeUndefined();
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
          return { kind: 'exited', exit_code: 0, oom_killed: false, started_at: 1, finished_at: 2 };
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
