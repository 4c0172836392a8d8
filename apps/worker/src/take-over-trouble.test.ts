import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { never, type Play, settled, setUp } from '../test/attempt-rig.js';
import { RuntimeFault } from './runtime/container-runtime.js';

const OUTPUT = [
  { stream: 'stdout' as const, data: 'one ' },
  { stream: 'stderr' as const, data: 'err' },
  { stream: 'stdout' as const, data: 'two' },
];
const away = () => Promise.reject(new RuntimeFault('engine_unavailable', 'away', { retryable: true }));

describe('an engine that does not answer to the new worker', () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  /** Its list answers from the given time on. */
  const openAway = (ms: number, play: Play = {}) => {
    const began = performance.now();
    const runtime: Play['runtime'] = (fake) => ({
      list: (job_id) => (performance.now() - began < ms ? away() : fake.list(job_id)),
    });
    return setUp({ program: { output: OUTPUT }, runtime, ...play });
  };

  it('is waited for: nothing is given up that may still run', async () => {
    const it = openAway(10_000);
    await it.place('started');
    const ending = it.adopt();
    await vi.advanceTimersByTimeAsync(9_500);
    expect(it.steps).toEqual([]);
    expect(it.onEngineFault).toHaveBeenCalledTimes(10);
    await vi.advanceTimersByTimeAsync(1_500);
    await ending;
    expect(settled(it.record.settlements).type).toBe('completed');
    expect(it.output.textOf('stdout')).toBe('one two');
  });

  it('in the middle of the taking over is asked from the beginning, and the output is not doubled', async () => {
    let follows = 0;
    const it = setUp({
      program: { output: OUTPUT },
      container: (fake) => ({
        follow: async (sink, from) => {
          follows += 1;
          await fake.follow(sink, from);
          if (follows < 3) await away();
        },
      }),
    });
    await it.place('started');
    const ending = it.adopt();
    await vi.advanceTimersByTimeAsync(3_000);
    await ending;
    expect(follows).toBe(3);
    expect([it.output.textOf('stdout'), it.output.textOf('stderr')]).toEqual(['one two', 'err']);
  });

  it.each(['let_go', 'moved'] as const)('is not waited for by a worker that leaves the job: %s', async (why) => {
    const it = openAway(3_600_000);
    await it.place('started');
    const ending = it.adopt();
    await vi.advanceTimersByTimeAsync(100);
    it.leases.find('job-1')?.leaveIt(why);
    await vi.advanceTimersByTimeAsync(0);
    expect(await ending).toEqual({ kind: 'left', why });
    expect(it.steps).toEqual([]);
  });

  it('is not waited for once the epoch is over', async () => {
    const it = openAway(3_600_000);
    const ending = it.adopt();
    await vi.advanceTimersByTimeAsync(100);
    it.leases.find('job-1')?.ask('over');
    await vi.advanceTimersByTimeAsync(1_000);
    expect((await ending).kind).toBe('left');
    expect(it.record.settlements).toEqual([]);
  });

  it('is waited for although a cancel was asked: the container may run', async () => {
    const it = openAway(5_000, { program: { until: never } });
    await it.place('started');
    const ending = it.adopt();
    it.leases.cancel('job-1');
    await vi.advanceTimersByTimeAsync(4_000);
    expect(it.record.settlements).toEqual([]);
    await vi.advanceTimersByTimeAsync(2_000);
    await ending;
    expect(settled(it.record.settlements).type).toBe('cancelled');
    expect(it.engine.containers.size).toBe(0);
  });
});

describe('a broker that cannot say what is stored', () => {
  it('is asked again, and the job is none the worse', async () => {
    vi.useFakeTimers();
    onTestFinished(() => void vi.useRealTimers());
    const it = setUp({ program: { output: OUTPUT } });
    await it.place('started');
    const { readPosition } = it.context.logs;
    const busy = Object.assign(new Error('BUSY Redis is busy running a script.'), { name: 'ReplyError' });
    let asked = 0;
    it.context.logs.readPosition = async (...args) => {
      asked += 1;
      if (asked < 3) throw busy;
      return readPosition(...args);
    };
    const ending = it.adopt();
    await vi.advanceTimersByTimeAsync(3_000);
    await ending;
    expect(settled(it.record.settlements).type).toBe('completed');
    expect(it.output.textOf('stdout')).toBe('one two');
    expect(it.onEngineFault).not.toHaveBeenCalled();
  });
});
