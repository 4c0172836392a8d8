import { describe, expect, it } from 'vitest';
import {
  CAUSES,
  type Circumstances,
  type ExitReport,
  type Intent,
  type Outcome,
  toCause,
  toEvidence,
  toExitCode,
  toFinalState,
  toMessage,
  toOutcome,
  toSignal,
} from './outcome.js';

type Exited = Extract<ExitReport, { kind: 'exited' }>;

const DEADLINE = 1_000;
const FINE = { oom_kills: 0, oom_flag: false, peak_bytes: null };
const FLAGGED = { oom_kills: 1, oom_flag: true, peak_bytes: 64 };
const UNFLAGGED = { oom_kills: 1, oom_flag: false, peak_bytes: null };

const exited = (exit_code: number, more: Partial<Exited> = {}): Exited => ({
  kind: 'exited',
  exit_code,
  memory: FINE,
  outside_signal: null,
  started_at: 1,
  finished_at: DEADLINE - 1,
  ...more,
});
const late = { finished_at: DEADLINE };
const by = (outside_signal: number) => ({ outside_signal });
const under = (intent?: Intent): Circumstances => ({ intent, deadline_ms: DEADLINE });

const MISSING: ExitReport = { kind: 'start_failed', message: 'not found', exit_code: 127 };
const REMOVED: ExitReport = { kind: 'removed' };
const RESTARTED: ExitReport = { kind: 'engine_restarted' };
const COMPLETED: Outcome = { kind: 'exited', exit_code: 0 };
const WARNED: Outcome = { ...COMPLETED, message: expect.stringContaining('killed for want of memory') };

type Row = [what: string, report: ExitReport, intent: Intent | undefined, outcome: Outcome];
const timeout = (exit_code: number | null): Outcome => ({ kind: 'timeout', exit_code });
const cancelled = (exit_code: number | null): Outcome => ({ kind: 'cancelled', exit_code });
const code = (exit_code: number): Outcome => ({ kind: 'exited', exit_code });
const oom = (exit_code: number): Outcome => ({ kind: 'out_of_memory', exit_code });
const killed = (exit_code: number): Outcome => ({ kind: 'killed_externally', exit_code });

const ROWS: Row[] = [
  ['exit 0', exited(0), undefined, COMPLETED],
  ['exit 0, a child out of memory', exited(0, { memory: FLAGGED }), undefined, WARNED],
  ['exit 0, a child out of memory, no flag', exited(0, { memory: UNFLAGGED }), undefined, WARNED],
  ['exit 0 beats the timeout', exited(0, late), 'timeout', COMPLETED],
  ['exit 0 beats the timeout, a child out of memory', exited(0, { memory: FLAGGED }), 'timeout', WARNED],
  ['exit 0 beats the reaper', exited(0, { ...late, ...by(15) }), undefined, COMPLETED],
  ['exit 0 beats a stop from outside', exited(0, by(15)), undefined, COMPLETED],
  ['exit 0 does not beat a cancel', exited(0), 'cancel', cancelled(0)],
  ['exit 0 while cancelled, a child out of memory', exited(0, { memory: FLAGGED }), 'cancel', cancelled(0)],

  ['exit 3', exited(3), undefined, code(3)],
  ['exit 3 after the deadline, asked by nobody', exited(3, late), undefined, code(3)],
  ['exit 3 while being stopped for time', exited(3), 'timeout', timeout(3)],
  ['exit 3 while being cancelled', exited(3), 'cancel', cancelled(3)],
  ['exit 3 after TERM from outside', exited(3, by(15)), undefined, killed(3)],
  ['exit 3 after the reaper’s TERM', exited(3, { ...late, ...by(15) }), undefined, timeout(3)],
  ['exit 3 after HUP from outside, which it took for a wish', exited(3, by(1)), undefined, code(3)],
  ['exit 3 after HUP from outside and the deadline', exited(3, { ...late, ...by(1) }), undefined, code(3)],
  ['129 by HUP from outside', exited(129, by(1)), undefined, killed(129)],

  ['137 by the program itself', exited(137), undefined, code(137)],
  ['143 by the program itself', exited(143), undefined, code(143)],
  ['137 by KILL from outside', exited(137, by(9)), undefined, killed(137)],
  ['143 by TERM from outside', exited(143, by(15)), undefined, killed(143)],
  ['137 by our KILL after the timeout', exited(137, late), 'timeout', timeout(137)],
  ['143 by our TERM after a cancel', exited(143), 'cancel', cancelled(143)],
  ['137 by another’s KILL after a cancel was recorded', exited(137, by(9)), 'cancel', cancelled(137)],
  ['137 by another’s KILL after a timeout was recorded', exited(137, by(9)), 'timeout', timeout(137)],
  ['137 by the reaper', exited(137, { ...late, ...by(9) }), undefined, timeout(137)],
  ['143 by the reaper, whose signal nobody saw', exited(143, late), undefined, timeout(143)],
  ['139 after the deadline: no stop ends so', exited(139, late), undefined, code(139)],

  ['137 out of memory', exited(137, { memory: FLAGGED }), undefined, oom(137)],
  ['137 out of memory, no flag', exited(137, { memory: UNFLAGGED }), undefined, oom(137)],
  ['1 out of memory', exited(1, { memory: FLAGGED }), undefined, oom(1)],
  ['137 out of memory after the deadline', exited(137, { ...late, memory: UNFLAGGED }), undefined, oom(137)],
  [
    '137 out of memory, TERM from outside lived through',
    exited(137, { ...by(15), memory: FLAGGED }),
    undefined,
    oom(137),
  ],
  [
    '137 by KILL from outside, a child out of memory',
    exited(137, { ...by(9), memory: FLAGGED }),
    undefined,
    killed(137),
  ],
  ['137 out of memory while stopped for time', exited(137, { memory: FLAGGED }), 'timeout', timeout(137)],
  ['137 out of memory while cancelled', exited(137, { memory: FLAGGED }), 'cancel', cancelled(137)],

  ['no such program', MISSING, undefined, { kind: 'start_failed', message: 'not found', exit_code: 127 }],
  ['no such program, timeout', MISSING, 'timeout', timeout(127)],
  ['no such program, cancel', MISSING, 'cancel', cancelled(127)],
  ['removed by others', REMOVED, undefined, { kind: 'removed_externally' }],
  ['removed while stopped for time', REMOVED, 'timeout', timeout(null)],
  ['removed while cancelled', REMOVED, 'cancel', cancelled(null)],
  ['engine restarted', RESTARTED, undefined, { kind: 'engine_restarted' }],
  ['engine restarted, timeout', RESTARTED, 'timeout', timeout(null)],
  ['engine restarted, cancel', RESTARTED, 'cancel', cancelled(null)],
];

describe('toOutcome', () => {
  it.each(ROWS)('%s', (_what, report, intent, outcome) => {
    expect(toOutcome(report, under(intent))).toEqual(outcome);
  });

  it('covers every report under every intent', () => {
    const shape = ([, report, intent]: Row) => {
      const kind = report.kind === 'exited' ? `${report.exit_code === 0}-${report.memory.oom_kills > 0}` : report.kind;
      return `${kind}/${intent ?? 'none'}`;
    };
    const kinds = [
      'true-false',
      'true-true',
      'false-false',
      'false-true',
      'start_failed',
      'removed',
      'engine_restarted',
    ];
    const missing = kinds.flatMap((kind) =>
      ['none', 'timeout', 'cancel'].map((intent) => `${kind}/${intent}`).filter((s) => !ROWS.map(shape).includes(s)),
    );
    expect(missing).toEqual([]);
  });

  it('reaches every cause that a container can die of', () => {
    const reached = new Set(ROWS.map(([, , , outcome]) => toCause(outcome)));
    const before_a_container = [
      'queue_timeout',
      'dependency_failed',
      'image_not_found',
      'image_pull_failed',
      'node_lost',
      'poison',
    ];
    expect(CAUSES.filter((cause) => !before_a_container.includes(cause) && !reached.has(cause))).toEqual([]);
  });
});

describe('toEvidence', () => {
  it('keeps what was seen', () => {
    expect(toEvidence(exited(137, { memory: FLAGGED }), under())).toEqual({
      exit_code: 137,
      signal: 'SIGKILL',
      oom_kills: 1,
      oom_flag: true,
      memory_peak_bytes: 64,
      asked_by: null,
    });
    expect(toEvidence(exited(3), under())).toMatchObject({ signal: null, oom_kills: 0, memory_peak_bytes: null });
    for (const report of [MISSING, REMOVED, RESTARTED]) expect(toEvidence(report, under('cancel'))).toBeNull();
  });

  it.each<[string, Exited, Intent | undefined, string | null]>([
    ['the recorded intent', exited(143, by(15)), 'cancel', 'cancel'],
    ['the recorded intent after the deadline', exited(137, { ...late, ...by(9) }), 'timeout', 'timeout'],
    ['another client', exited(137, by(9)), undefined, 'outside'],
    ['another client, though it ended well', exited(0, by(15)), undefined, 'outside'],
    ['another client, though memory was the cause', exited(137, { ...by(15), memory: FLAGGED }), undefined, 'outside'],
    ['the reaper', exited(137, { ...late, ...by(9) }), undefined, 'deadline'],
    ['the reaper, unseen', exited(143, late), undefined, 'deadline'],
    ['nobody: it ran out of memory', exited(137, { ...late, memory: UNFLAGGED }), undefined, null],
    ['nobody: it killed itself', exited(137), undefined, null],
    ['nobody: HUP is no wish for an end', exited(0, by(1)), undefined, null],
  ])('asked by %s', (_who, report, intent, asked_by) => {
    expect(toEvidence(report, under(intent))?.asked_by).toBe(asked_by);
  });

  it.each([
    [137, 'SIGKILL'],
    [143, 'SIGTERM'],
    [139, 'SIGSEGV'],
    [0, null],
    [128, null],
    [255, null],
  ])('exit code %i stands for %s', (exit_code, signal) => {
    expect(toSignal(exit_code)).toBe(signal);
  });
});

describe('what is stored of an outcome', () => {
  it.each<[Outcome, string | null, string, number | null, string | null]>([
    [{ kind: 'exited', exit_code: 0 }, null, 'completed', 0, null],
    [{ kind: 'exited', exit_code: 0, message: 'a child died' }, null, 'completed', 0, 'a child died'],
    [{ kind: 'exited', exit_code: 2 }, 'exit_code', 'failed', 2, null],
    [{ kind: 'out_of_memory', exit_code: 137 }, 'out_of_memory', 'failed', 137, null],
    [{ kind: 'timeout', exit_code: null }, 'timeout', 'failed', null, null],
    [{ kind: 'cancelled', exit_code: 0 }, 'cancelled', 'cancelled', 0, null],
    [{ kind: 'image_not_found', message: 'no such image' }, 'image_not_found', 'failed', null, 'no such image'],
    [{ kind: 'image_pull_failed', message: 'no route' }, 'image_pull_failed', 'failed', null, 'no route'],
    [{ kind: 'start_failed', message: 'no such file', exit_code: 127 }, 'start_failed', 'failed', 127, 'no such file'],
    [{ kind: 'killed_externally', exit_code: 137 }, 'killed_externally', 'failed', 137, null],
    [{ kind: 'removed_externally' }, 'removed_externally', 'failed', null, null],
    [{ kind: 'engine_restarted' }, 'engine_restarted', 'failed', null, null],
    [{ kind: 'engine_restarted', message: 'no space left' }, 'engine_restarted', 'failed', null, 'no space left'],
  ])('%j', (outcome, cause, state, exit_code, message) => {
    expect(toCause(outcome)).toBe(cause);
    expect(toFinalState(outcome)).toBe(state);
    expect(toExitCode(outcome)).toBe(exit_code);
    expect(toMessage(outcome)).toBe(message);
    if (cause !== null) expect(CAUSES).toContain(cause);
  });
});

describe('a 0 that comes once we have told the program to end', () => {
  const stopped = (intent: Intent | undefined, stopped_at_ms: number): Circumstances => ({
    intent,
    deadline_ms: DEADLINE,
    stopped_at_ms,
  });
  it('is how it takes leave, not that it was done in time', () => {
    const report = exited(0, { finished_at: 500 });
    expect(toOutcome(report, stopped('timeout', 500))).toEqual(timeout(0));
    expect(toOutcome(report, stopped('timeout', 501))).toEqual(COMPLETED);
    expect(toOutcome(report, stopped(undefined, 400))).toEqual(COMPLETED);
  });
});
