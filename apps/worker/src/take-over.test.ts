import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { never, replyOf, settled, setUp, untilStep } from '../test/attempt-rig.js';
import { defer } from '../test/fakes.js';
import { RuntimeFault } from './runtime/container-runtime.js';

const OUTPUT = [
  { stream: 'stdout' as const, data: 'one ' },
  { stream: 'stderr' as const, data: 'err' },
  { stream: 'stdout' as const, data: 'two' },
];

describe('an adopted job whose container', () => {
  it('runs is followed to its end from where the store ends; nothing is made or started', async () => {
    const end = defer();
    const it = setUp({ program: { until: end.promise, exit_code: 3, output: OUTPUT } });
    await it.place('started');
    it.output.pieces.push({ stream: 'stdout', attempt: 1, bytes: Buffer.from('one t') });
    const ending = it.adopt({ ran_ms: 1_000, image_digest: 'sha256:before' });
    await untilStep(it.steps, 'container followed');
    end.resolve();
    await ending;
    expect(it.steps).toEqual(['container followed', 'settle failed', 'container removed']);
    expect(settled(it.record.settlements)).toMatchObject({
      cause: 'exit_code',
      exit_code: 3,
      entry: { image_digest: 'sha256:before' },
    });
    expect([it.output.textOf('stdout'), it.output.textOf('stderr')]).toEqual(['one two', 'err']);
    expect(it.engine.containers.size).toBe(0);
    expect(it.leases.size).toBe(0);
  });

  it('ended while nobody watched has its true end and its whole output', async () => {
    const it = setUp({ program: { exit_code: 7, output: OUTPUT } });
    const id = await it.place('started');
    await vi.waitFor(() => expect(it.engine.containers.get(id)?.state).toBe('ended'));
    await it.adopt();
    expect(settled(it.record.settlements)).toMatchObject({ type: 'failed', cause: 'exit_code', exit_code: 7 });
    expect([it.output.textOf('stdout'), it.output.textOf('stderr')]).toEqual(['one two', 'err']);
  });

  it('was only made is made again and started: its maker may not be as dead as it looks', async () => {
    const it = setUp({ program: { output: OUTPUT } });
    const id = await it.place('created');
    await it.adopt({ ran_ms: null });
    expect(it.steps).toEqual([
      'container removed',
      'container created',
      'container started',
      'start',
      'settle completed',
      'container removed',
    ]);
    expect(it.engine.containers.has(id)).toBe(false);
    expect(it.output.textOf('stdout')).toBe('one two');
  });

  it('is not there, though it was started, was removed by somebody', async () => {
    const it = setUp();
    await it.adopt({ ran_ms: 5_000 });
    expect(settled(it.record.settlements)).toMatchObject({ type: 'failed', cause: 'removed_externally' });
    expect(it.steps).toEqual(['settle failed']);
  });

  it('was never made is made', async () => {
    const it = setUp();
    await it.adopt({ ran_ms: null });
    expect(it.steps).toEqual([
      'container created',
      'container started',
      'start',
      'settle completed',
      'container removed',
    ]);
  });

  it('runs, of which the record does not know, is noted once', async () => {
    const end = defer();
    const it = setUp({ program: { until: end.promise } });
    await it.place('started');
    const ending = it.adopt({ ran_ms: null });
    await untilStep(it.steps, 'start');
    end.resolve();
    await ending;
    expect(it.steps).toEqual(['container followed', 'start', 'settle completed', 'container removed']);
  });

  it('stands still, because its owner was cut off, goes on', async () => {
    const end = defer();
    const it = setUp({ program: { until: end.promise } });
    const id = await it.place('started');
    await it.fake.open(id).pause();
    end.resolve();
    await it.adopt();
    expect(settled(it.record.settlements).type).toBe('completed');
  });

  it('is of another epoch is not taken for it', async () => {
    const it = setUp({ claim: { epoch: 2 } });
    const older = setUp({ claim: { epoch: 1 } });
    await older.place('created');
    for (const { options } of older.engine.containers.values()) await it.fake.create(options);
    await it.adopt({ ran_ms: 5_000 });
    expect(settled(it.record.settlements).cause).toBe('removed_externally');
    expect(it.engine.containers.size).toBe(1);
  });

  it('has an image that is gone meanwhile ends like any other', async () => {
    const gone = () => Promise.reject(new RuntimeFault('image_not_found', 'gone'));
    const it = setUp({ runtime: () => ({ resolveImage: gone }) });
    await it.place('started');
    await it.adopt();
    expect(settled(it.record.settlements)).toMatchObject({ type: 'completed', entry: { image_digest: null } });
  });
});

describe('the time of an adopted job', () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  it('goes on, and is not begun anew', async () => {
    const it = setUp({ program: { until: never }, spec: { timeout_seconds: 60 } });
    await it.place('started');
    await vi.advanceTimersByTimeAsync(50_000);
    const ending = it.adopt({ ran_ms: 50_000 });
    await vi.advanceTimersByTimeAsync(9_900);
    expect(it.steps).toEqual(['container followed']);
    await vi.advanceTimersByTimeAsync(200);
    await ending;
    expect(it.steps).toEqual([
      'container followed',
      'intend timeout',
      'container stopped 10',
      'settle failed',
      'container removed',
    ]);
    expect(settled(it.record.settlements).cause).toBe('timeout');
  });

  it.each([
    ["the broker's", { by_broker_ms: 3_600_000, by_machine_ms: 0 }],
    ["the machine's", { by_broker_ms: 0, by_machine_ms: 3_600_000 }],
  ])('is not over because %s clock was set', async (_whose, { by_broker_ms, by_machine_ms }) => {
    const it = setUp({ program: { until: never }, spec: { timeout_seconds: 60 } });
    await it.place('started');
    await vi.advanceTimersByTimeAsync(50_000);
    vi.setSystemTime(Date.now() + by_machine_ms);
    const ending = it.adopt({ ran_ms: 50_000 + by_broker_ms });
    await vi.advanceTimersByTimeAsync(8_900);
    expect(it.steps).toEqual(['container followed']);
    await vi.advanceTimersByTimeAsync(2_200);
    await ending;
    expect(it.steps).toContain('intend timeout');
  });

  it.each(['timeout', 'cancel'] as const)(
    'is over where a %s was recorded: its end is called so, dead or alive',
    async (intent) => {
      const alive = setUp({ program: { until: never } });
      await alive.place('started');
      const living = alive.adopt({ ran_ms: 1_000, intent });
      await vi.advanceTimersByTimeAsync(100);
      await living;
      expect(alive.steps).toContain('container stopped 10');
      const dead = setUp({ program: { exit_code: 143 } });
      await dead.place('started');
      const done = dead.adopt({ ran_ms: 1_000, intent });
      await vi.advanceTimersByTimeAsync(100);
      await done;
      const gone = setUp({ program: {} });
      const missed = gone.adopt({ ran_ms: 1_000, intent });
      await vi.advanceTimersByTimeAsync(100);
      await missed;
      const causes = [alive, dead, gone].map(({ record }) => settled(record.settlements).cause);
      expect(causes).toEqual(Array(3).fill(intent === 'cancel' ? 'cancelled' : 'timeout'));
    },
  );

  it('was stopped by the reaper, past its deadline, is called a timeout though nobody could record it', async () => {
    const it = setUp({ program: { until: never }, spec: { timeout_seconds: 1, stop_grace_seconds: 0 } });
    const id = await it.place('started');
    await vi.advanceTimersByTimeAsync(30_000);
    it.engine.killExternally(id, 9);
    const ending = it.adopt({ ran_ms: 30_000 });
    await vi.advanceTimersByTimeAsync(3_000);
    await ending;
    expect(settled(it.record.settlements)).toMatchObject({ type: 'failed', cause: 'timeout', exit_code: 137 });
  });
});

describe('an adopted job that', () => {
  it('is adopted by yet another worker is left to it', async () => {
    const it = setUp({ program: { until: never, output: OUTPUT } });
    await it.place('started');
    const ending = it.adopt();
    await untilStep(it.steps, 'container followed');
    it.leases.find('job-1')?.leaveIt('moved');
    expect(await ending).toEqual({ kind: 'left', why: 'moved' });
    expect(it.steps).toEqual(['container followed']);
  });

  it('is over is killed and removed, and nothing is written', async () => {
    const it = setUp({ program: { until: never } });
    await it.place('started');
    const ending = it.adopt();
    await untilStep(it.steps, 'container followed');
    it.leases.find('job-1')?.ask('over');
    expect(replyOf(await ending)).toBeUndefined();
    expect(it.steps).toEqual(['container followed', 'container stopped 0', 'container removed']);
  });

  it('is let go again is handed on with all that was read', async () => {
    const it = setUp({ program: { until: never, output: OUTPUT } });
    await it.place('started');
    const ending = it.adopt();
    await untilStep(it.steps, 'container followed');
    it.leases.letGoAll();
    expect(await ending).toEqual({ kind: 'left', why: 'let_go' });
    expect([it.output.textOf('stdout'), it.output.textOf('stderr')]).toEqual(['one two', 'err']);
  });
});

describe('an adopted container that somebody has stopped', () => {
  const stoppedAfter = (ms: number) => ({
    ended: async () => ({
      kind: 'exited' as const,
      exit_code: 143,
      memory: { oom_kills: 0, oom_flag: false, peak_bytes: null },
      outside_signal: 15,
      started_at: 1_000_000,
      finished_at: 1_000_000 + ms,
    }),
  });
  it.each([
    [60_001, 'timeout'],
    [59_000, 'killed_externally'],
  ])('%i ms after its start, of 60 s, ended by %s', async (ms, cause) => {
    const it = setUp({ program: { until: never }, spec: { timeout_seconds: 60 }, container: () => stoppedAfter(ms) });
    await it.place('started');
    await it.adopt();
    expect(settled(it.record.settlements).cause).toBe(cause);
  });
});

describe('a doomed epoch', () => {
  it('is given up once its container is gone', async () => {
    const it = setUp({ program: { until: never } });
    await it.place('started');
    await it.adopt({ doomed: true });
    expect(it.steps).toEqual(['container removed', 'settle lost']);
    expect(settled(it.record.settlements)).toMatchObject({ cause: 'node_lost' });
    expect(it.engine.containers.size).toBe(0);
  });

  it('that is over by then, or in other hands, is left', async () => {
    const it = setUp({ program: { until: never }, claims: { renew: async () => ['moved'] } });
    await it.place('started');
    await it.adopt({ doomed: true });
    expect([it.steps, it.engine.containers.size]).toEqual([[], 1]);
  });
});

describe('an adopted epoch that turns out to be over', () => {
  it('has its container removed at once: the next may begin elsewhere', async () => {
    const it = setUp({ program: { until: never }, claims: { renew: async () => ['over'] } });
    await it.place('started');
    await it.adopt();
    expect(it.engine.containers.size).toBe(0);
    expect(it.record.settlements).toEqual([]);
  });
});

describe('an engine that answers and cannot do this one thing', () => {
  it('is a fault of the platform after a while, and not waited for for ever', async () => {
    vi.useFakeTimers();
    onTestFinished(() => void vi.useRealTimers());
    const broken = () => Promise.reject(new RuntimeFault('engine_unavailable', 'it says 500', { retryable: true }));
    const it = setUp({ program: { until: never }, container: () => ({ unpause: broken }) });
    await it.place('started');
    const ending = it.adopt();
    await vi.advanceTimersByTimeAsync(60_000);
    await ending;
    expect(settled(it.record.settlements).type).not.toBe('completed');
  });
});
