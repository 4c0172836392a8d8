import type { ExitReport } from '@berth/domain';
import type { RecordedIntent } from '@berth/store';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { createLogBook, defer, toClaim } from '../test/fakes.js';
import { createHold } from './hold.js';
import type { Container } from './runtime/container-runtime.js';
import { watch } from './watch-container.js';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const toReport = (exit_code: number): ExitReport => ({
  kind: 'exited',
  exit_code,
  memory: { oom_kills: 0, oom_flag: false, peak_bytes: null },
  outside_signal: null,
  started_at: 1,
  finished_at: 2,
});

interface Options {
  spec?: Record<string, unknown>;
  ran_ms?: number;
  intend?: () => Promise<RecordedIntent | 'stale'>;
  /** What the engine says of it. Default: that it runs. */
  isRunning?: () => Promise<boolean>;
  /** Whether a stop ends it. */
  dies?: boolean;
}

/** A running container; `steps` is what was done about its end, in order. */
const open = (options: Options = {}) => {
  const { spec = {}, ran_ms = 0, intend = async () => 'timeout', isRunning = async () => true, dies = true } = options;
  const steps: string[] = [];
  const end = defer<ExitReport>();
  const container = {
    id: 'c',
    ended: () => end.promise,
    isRunning,
    stop: async (grace: number) => {
      steps.push(`stop ${grace}`);
      if (dies) end.resolve(toReport(143));
    },
  } as Container;
  const hold = createHold(
    toClaim({}, { timeout_seconds: 60, ...spec }),
    () => false,
    () => {},
  );
  const claims = {
    intend: async (_claim: unknown, intent: RecordedIntent) => {
      steps.push(`intend ${intent}`);
      const reply = await intend();
      steps.push('intended');
      return reply;
    },
  };
  const book = createLogBook();
  const start = () => watch(hold, container, { ran_ms, claims, log: book.log });
  return { steps, end, hold, book, start };
};

describe('a watched container', () => {
  it('that ends by itself is told so, and nothing is done to it', async () => {
    const { start, end, steps } = open();
    const watched = start();
    end.resolve(toReport(3));
    expect(await watched).toEqual(toReport(3));
    await vi.advanceTimersByTimeAsync(120_000);
    expect(steps).toEqual([]);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('whose time is up is stopped, and why is in the record before the first signal', async () => {
    const { start, steps, hold } = open();
    const watched = start();
    await vi.advanceTimersByTimeAsync(59_999);
    expect(steps).toEqual([]);
    await vi.advanceTimersByTimeAsync(1);
    expect(await watched).toEqual(toReport(143));
    expect(steps).toEqual(['intend timeout', 'intended', 'stop 10']);
    expect(hold.request).toBe('timeout');
  });

  it('that ran before it was taken over has only the rest of its time', async () => {
    const { start, steps } = open({ ran_ms: 50_000 });
    const watched = start();
    await vi.advanceTimersByTimeAsync(9_999);
    expect(steps).toEqual([]);
    await vi.advanceTimersByTimeAsync(1);
    await watched;
    expect(steps).toHaveLength(3);
  });

  it('that had no time left when it was taken over is stopped at once', async () => {
    const { start, steps } = open({ ran_ms: 3_600_000 });
    const watched = start();
    await vi.advanceTimersByTimeAsync(0);
    await watched;
    expect(steps).toEqual(['intend timeout', 'intended', 'stop 10']);
  });

  it('is stopped in time although the broker is away', async () => {
    const { start, steps } = open({ intend: () => new Promise(() => {}) });
    const watched = start();
    await vi.advanceTimersByTimeAsync(67_999);
    expect(steps).toEqual(['intend timeout']);
    await vi.advanceTimersByTimeAsync(1);
    await watched;
    expect(steps).toEqual(['intend timeout', 'stop 10']);
  });

  it('is stopped in time although the broker refuses', async () => {
    const { start, steps } = open({ intend: () => Promise.reject(new Error('OOM')) });
    const watched = start();
    await vi.advanceTimersByTimeAsync(60_000);
    await watched;
    expect(steps).toEqual(['intend timeout', 'stop 10']);
  });

  it('that ends while the record takes note of a timeout has ended, whatever the record says', async () => {
    const noted = defer<RecordedIntent>();
    const { start, end } = open({ intend: () => noted.promise, dies: false });
    const watched = start();
    await vi.advanceTimersByTimeAsync(60_000);
    end.resolve(toReport(0));
    noted.resolve('timeout');
    expect(await watched).toEqual(toReport(0));
  });

  it.each([
    ['cancel', ['stop 7']],
    ['release', ['intend release', 'intended', 'stop 2']],
    ['over', ['stop 0']],
  ] as const)(
    'that is to end by a %s has it in the record before the first signal, and gets its time: %j',
    async (ask, expected) => {
      const { start, steps, hold } = open({ spec: { stop_grace_seconds: 7 } });
      const watched = start();
      hold.ask(ask);
      await watched;
      expect(steps).toEqual(expected);
    },
  );

  it('whose time is up while its engine is away did not run too long, if it turns out to have died with it', async () => {
    let away = true;
    const isRunning = async () => {
      if (away) throw new Error('the engine is away');
      return false;
    };
    const { start, steps, hold, end } = open({ isRunning });
    const watched = start();
    await vi.advanceTimersByTimeAsync(65_000);
    away = false;
    await vi.advanceTimersByTimeAsync(2_000);
    end.resolve({ kind: 'engine_restarted' });
    expect(await watched).toEqual({ kind: 'engine_restarted' });
    expect([steps, hold.timed_out]).toEqual([[], false]);
  });

  it('whose time is up while its engine is away is stopped once that is back', async () => {
    let away = true;
    const isRunning = async () => {
      if (away) throw new Error('the engine is away');
      return true;
    };
    const { start, steps, hold } = open({ isRunning });
    const watched = start();
    await vi.advanceTimersByTimeAsync(65_000);
    away = false;
    await vi.advanceTimersByTimeAsync(2_000);
    await watched;
    expect([steps, hold.timed_out]).toEqual([['intend timeout', 'intended', 'stop 10'], true]);
  });

  it('that was asked for before it is watched is stopped at once', async () => {
    const { start, steps, hold } = open();
    hold.ask('cancel');
    await start();
    expect(steps).toEqual(['stop 10']);
  });

  it.each(['release', 'over'] as const)('has its long grace cut short by a %s', async (ask) => {
    const { start, steps, hold, end } = open({ spec: { stop_grace_seconds: 300 }, dies: false });
    const watched = start();
    hold.ask('cancel');
    await vi.advanceTimersByTimeAsync(0);
    hold.ask(ask);
    await vi.advanceTimersByTimeAsync(0);
    expect(steps).toEqual(['stop 300', ask === 'over' ? 'stop 0' : 'stop 2']);
    end.resolve(toReport(137));
    await watched;
  });
});

describe('a container that is left', () => {
  it.each(['let_go', 'moved'] as const)('goes on: %s', async (why) => {
    const { start, steps, hold } = open();
    const watched = start();
    hold.leaveIt(why);
    expect(await watched).toBe('left');
    await vi.advanceTimersByTimeAsync(120_000);
    expect(steps).toEqual([]);
  });

  it('while it is being stopped is not waited for', async () => {
    const { start, hold } = open({ dies: false });
    const watched = start();
    hold.ask('cancel');
    await vi.advanceTimersByTimeAsync(0);
    hold.leaveIt('let_go');
    expect(await watched).toBe('left');
  });

  it('while the record takes note of a timeout is not stopped any more', async () => {
    const { start, steps, hold } = open({ intend: () => new Promise(() => {}) });
    const watched = start();
    await vi.advanceTimersByTimeAsync(60_000);
    hold.leaveIt('moved');
    expect(await watched).toBe('left');
    await vi.advanceTimersByTimeAsync(10_000);
    expect(steps).toEqual(['intend timeout']);
  });

  it('is not stopped by a timeout that the record refuses: the epoch is not ours, as the next renewal tells', async () => {
    const { start, steps, hold } = open({ intend: async () => 'stale' });
    const watched = start();
    await vi.advanceTimersByTimeAsync(65_000);
    expect(steps).toEqual(['intend timeout', 'intended']);
    hold.leaveIt('moved');
    expect(await watched).toBe('left');
  });

  it('but whose epoch is over is killed, also where the record has refused a timeout', async () => {
    const { start, steps, hold } = open({ intend: async () => 'stale' });
    const watched = start();
    await vi.advanceTimersByTimeAsync(60_000);
    hold.ask('over');
    await watched;
    expect(steps).toEqual(['intend timeout', 'intended', 'stop 0']);
  });
});
