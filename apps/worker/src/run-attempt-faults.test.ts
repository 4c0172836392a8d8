import type { Claims, Settlement } from '@berth/store';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { never, type Play, replyOf, settled, setUp } from '../test/attempt-rig.js';
import { defer } from '../test/fakes.js';
import { type Container, RuntimeFault } from './runtime/container-runtime.js';

describe('a fault', () => {
  const fault =
    (...args: ConstructorParameters<typeof RuntimeFault>) =>
    async () => {
      throw new RuntimeFault(...args);
    };
  const down = fault('engine_unavailable', 'down', { retryable: true });

  it.each<[string, Play, Partial<Settlement>]>([
    ['of a name that is taken', { runtime: () => ({ create: fault('name_taken', 'taken') }) }, { type: 'lost' }],
    [
      'of options that the engine refuses',
      { runtime: () => ({ create: fault('start_failed', 'bad workdir') }) },
      { type: 'failed', cause: 'start_failed', message: 'bad workdir', exit_code: null },
    ],
    [
      'of an image that goes missing',
      { runtime: () => ({ create: fault('image_not_found', 'gone') }) },
      { type: 'failed', cause: 'image_not_found' },
    ],
    [
      'of the engine while starting, of which nothing came: kept in case that it is the last of too many',
      { container: () => ({ start: down }) },
      { type: 'lost', cause: 'engine_restarted', message: 'down' },
    ],
    ['of the engine while waiting', { container: () => ({ ended: down }) }, { type: 'lost' }],
    ['that is a bug', { container: () => ({ start: () => Promise.reject(new TypeError('bug')) }) }, { type: 'lost' }],
  ])('%s', async (_name, play, expected) => {
    const { run, record, engine, leases } = setUp(play);
    await run();
    expect(settled(record.settlements)).toMatchObject(expected);
    expect(engine.containers.size).toBe(0);
    expect(leases.size).toBe(0);
  });

  it.each<[string, Play]>([
    ['resolving', { runtime: () => ({ resolveImage: down, list: down }) }],
    ['looking for older epochs', { claim: { epoch: 2 }, runtime: () => ({ list: down }) }],
    ['creating', { runtime: () => ({ create: down, list: down }) }],
  ])('of an engine that is away before anything could run costs nothing: %s', async (_name, play) => {
    const { run, record, onEngineFault } = setUp(play);
    await run();
    expect(settled(record.settlements)).toMatchObject({ type: 'released', cause: null, message: expect.any(String) });
    expect(onEngineFault).toHaveBeenCalledTimes(1);
  });

  it('of an engine that is there and refuses is counted: it would refuse for ever', async () => {
    const { run, record, onEngineFault } = setUp({ runtime: () => ({ create: down }) });
    await run();
    expect(settled(record.settlements)).toMatchObject({ type: 'lost', cause: 'engine_restarted' });
    expect(onEngineFault).toHaveBeenCalledTimes(1);
  });

  it.each<[string, Play]>([
    ['creating', { runtime: () => ({ create: down, isFit: async () => false }) }],
    ['starting', { program: { refused: 128, refused_for_now: true }, runtime: () => ({ isFit: async () => false }) }],
    ['pulling', { images: 'unreachable', runtime: () => ({ isFit: async () => false }) }],
  ])('of an engine that is there and starts nothing at all costs nothing either: %s', async (_name, play) => {
    const { run, record, engine, onEngineFault } = setUp(play);
    await run();
    expect(settled(record.settlements)).toMatchObject({ type: 'released', cause: null, message: expect.any(String) });
    expect(onEngineFault).toHaveBeenCalled();
    expect(engine.containers.size).toBe(0);
  });

  it('of a registry is none of the engine', async () => {
    const { run, record, onEngineFault } = setUp({ images: 'unreachable' });
    await run();
    expect(settled(record.settlements)).toMatchObject({ type: 'failed', cause: 'image_pull_failed' });
    expect(onEngineFault).not.toHaveBeenCalled();
  });

  it('of the job itself is not tried out', async () => {
    const isFit = vi.fn(async () => false);
    const { run, record, onEngineFault } = setUp({
      runtime: () => ({ create: fault('start_failed', 'bad workdir'), isFit }),
    });
    await run();
    expect(settled(record.settlements)).toMatchObject({ type: 'failed', cause: 'start_failed' });
    expect([isFit, onEngineFault].map((fn) => fn.mock.calls.length)).toEqual([0, 0]);
  });

  it('of the engine before anything could run does not hide a cancel', async () => {
    const { run, record, leases } = setUp({
      runtime: () => ({
        create: () => {
          leases.cancel('job-1');
          return down();
        },
      }),
    });
    await run();
    expect(settled(record.settlements).type).not.toBe('released');
  });

  it('of a name that is taken by what was made before, and not started: it is made again', async () => {
    const { run, record, place, engine } = setUp();
    const left = await place('created');
    await run();
    expect(settled(record.settlements).type).toBe('completed');
    expect(engine.containers.has(left)).toBe(false);
  });

  it('of a name that is taken by what runs leaves that alone', async () => {
    const { run, record, place, engine } = setUp({ program: { until: never } });
    const other = await place('started');
    await run();
    expect(settled(record.settlements)).toMatchObject({ type: 'lost', cause: 'engine_restarted' });
    expect(engine.containers.get(other)?.state).toBe('running');
  });

  it('while stopping says nothing of the end: it is tried again until the container has ended', async () => {
    vi.useFakeTimers();
    onTestFinished(() => void vi.useRealTimers());
    let stops = 0;
    const { run, leases, record, book } = setUp({
      program: { until: never },
      container: (fake) => ({
        stop: (grace) => {
          stops += 1;
          return stops < 3 ? down() : fake.stop(grace);
        },
      }),
    });
    const ending = run();
    await vi.advanceTimersByTimeAsync(10);
    leases.find('job-1')?.ask('timeout');
    await vi.advanceTimersByTimeAsync(2_100);
    await ending;
    expect(stops).toBe(3);
    expect(settled(record.settlements)).toMatchObject({ type: 'failed', cause: 'timeout' });
    expect(book.find('could not stop a container')).toBe(2);
  });

  it('while removing is logged and rejects nothing', async () => {
    const { run, record, book } = setUp({ container: () => ({ remove: down }) });
    await run();
    expect(settled(record.settlements).type).toBe('completed');
    expect(book.find('could not remove a container')).toBe(1);
  });
});

describe('a broker in trouble', () => {
  const oom = Object.assign(new Error("OOM command not allowed when used memory > 'maxmemory'."), {
    name: 'ReplyError',
  });

  it('is told again how the attempt ended, while the lease is kept', async () => {
    vi.useFakeTimers();
    onTestFinished(() => void vi.useRealTimers());
    let tries = 0;
    const settle: Claims['settle'] = async () => {
      tries += 1;
      if (tries < 4) throw oom;
      return { kind: 'settled', state: 'completed' };
    };
    const { run, leases, engine } = setUp({ claims: { settle } });
    const ending = run();
    await vi.advanceTimersByTimeAsync(1_100);
    expect([leases.size, engine.containers.size]).toEqual([1, 1]);
    await vi.advanceTimersByTimeAsync(1_000);
    expect(replyOf(await ending)).toEqual({ kind: 'settled', state: 'completed' });
    expect(tries).toBe(4);
    expect(leases.size).toBe(0);
  });

  it('is told no more once the worker closes', async () => {
    vi.useFakeTimers();
    onTestFinished(() => void vi.useRealTimers());
    const settle = vi.fn(async () => {
      throw oom;
    });
    const { run, leases } = setUp({ claims: { settle } });
    const ending = run();
    await vi.advanceTimersByTimeAsync(100);
    leases.close();
    await vi.advanceTimersByTimeAsync(1_000);
    expect(replyOf(await ending)).toBeUndefined();
    expect(settle).toHaveBeenCalledTimes(1);
  });

  it('that refuses for good makes the attempt throw, and the container stays: it is the evidence', async () => {
    const settle = async () => {
      throw new Error('ERR wrong number of arguments');
    };
    const { run, engine, leases } = setUp({ claims: { settle } });
    await expect(run()).rejects.toThrow('wrong number');
    expect(engine.containers.size).toBe(1);
    expect(leases.size).toBe(0);
  });
});

describe('a start that the engine did not answer to', () => {
  const lost = new RuntimeFault('engine_unavailable', 'hung up', { retryable: true });
  const startAndFail = (fake: Container): Partial<Container> => ({
    start: async (sink) => {
      await fake.start(sink);
      throw lost;
    },
  });

  it.each([
    ['runs', 'end'],
    ['has ended', undefined],
  ])('is gone on with where it %s; nothing of its output is lost or doubled', async (_state, waits) => {
    const end = defer();
    const output = [
      { stream: 'stdout' as const, data: 'one ' },
      { stream: 'stderr' as const, data: 'err' },
      { stream: 'stdout' as const, data: 'two' },
    ];
    const program = { output, exit_code: 4, ...(waits ? { until: end.promise } : {}) };
    const it = setUp({ program, container: startAndFail });
    const ending = it.run();
    await vi.waitFor(() => expect(it.steps).toContain('container followed'));
    end.resolve();
    await ending;
    expect(settled(it.record.settlements)).toMatchObject({ type: 'failed', cause: 'exit_code', exit_code: 4 });
    expect([it.output.textOf('stdout'), it.output.textOf('stderr')]).toEqual(['one two', 'err']);
    expect(it.steps.filter((step) => step === 'start')).toHaveLength(1);
    expect(it.onEngineFault).toHaveBeenCalledTimes(1);
    expect(it.engine.containers.size).toBe(0);
  });

  it('is given up where nothing came of it, so that what takes its engine along each time ends as poison', async () => {
    const { run, record, steps, engine } = setUp({ container: () => ({ start: () => Promise.reject(lost) }) });
    await run();
    expect(settled(record.settlements)).toMatchObject({ type: 'lost', cause: 'engine_restarted' });
    expect(steps.filter((step) => step === 'container created')).toHaveLength(1);
    expect(engine.containers.size).toBe(0);
  });

  it('and whose job was cancelled meanwhile is cancelled', async () => {
    const { run, record, leases, engine } = setUp({
      container: () => ({
        start: async () => {
          leases.cancel('job-1');
          throw lost;
        },
      }),
    });
    await run();
    expect(settled(record.settlements)).toMatchObject({ type: 'cancelled' });
    expect(engine.containers.size).toBe(0);
  });
});
