import type { Claims, Settlement } from '@berth/store';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { never, type Play, settled, setUp } from '../test/attempt-rig.js';
import { RuntimeFault } from './runtime/container-runtime.js';

describe('a fault', () => {
  const fault =
    (...args: ConstructorParameters<typeof RuntimeFault>) =>
    async () => {
      throw new RuntimeFault(...args);
    };
  const down = fault('engine_unavailable', 'down', { retryable: true });

  it.each<[string, Play, Partial<Settlement>]>([
    ['of the engine while resolving', { runtime: () => ({ resolveImage: down }) }, { type: 'lost' }],
    [
      'of the engine while creating, which is kept in case that it is the last of too many',
      { runtime: () => ({ create: down }) },
      { type: 'lost', cause: 'engine_restarted', message: 'down' },
    ],
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
    ['of the engine while starting', { container: () => ({ start: down }) }, { type: 'lost' }],
    ['of the engine while waiting', { container: () => ({ ended: down }) }, { type: 'lost' }],
    ['that is a bug', { container: () => ({ start: () => Promise.reject(new TypeError('bug')) }) }, { type: 'lost' }],
  ])('%s', async (_name, play, expected) => {
    const { run, record, engine, leases } = setUp(play);
    await run();
    expect(settled(record.settlements)).toMatchObject(expected);
    expect(engine.containers.size).toBe(0);
    expect(leases.size).toBe(0);
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
    expect((await ending).reply).toEqual({ kind: 'settled', state: 'completed' });
    expect(tries).toBe(4);
    expect(leases.size).toBe(0);
  });

  it('is told no more once the epoch is lost, or the worker closes', async () => {
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
    expect((await ending).reply).toBeUndefined();
    expect(settle).toHaveBeenCalledTimes(1);
  });

  it('that refuses for good makes the attempt throw, and the container goes all the same', async () => {
    const settle = async () => {
      throw new Error('ERR wrong number of arguments');
    };
    const { run, engine, leases } = setUp({ claims: { settle } });
    await expect(run()).rejects.toThrow('wrong number');
    expect(engine.containers.size).toBe(0);
    expect(leases.size).toBe(0);
  });
});
