import { describe, expect, it } from 'vitest';
import {
  CAUSES,
  type ExitReport,
  type Intent,
  type Outcome,
  toCause,
  toExitCode,
  toFinalState,
  toMessage,
  toOutcome,
} from './outcome.js';

const exited = (exit_code: number, oom_killed = false): ExitReport => ({
  kind: 'exited',
  exit_code,
  oom_killed,
  started_at: 1,
  finished_at: 2,
});

type Row = [what: string, report: ExitReport, intent: Intent | undefined, outcome: Outcome];

const ROWS: Row[] = [
  ['exit 0', exited(0), undefined, { kind: 'exited', exit_code: 0 }],
  ['exit 0 though a child was killed for memory', exited(0, true), undefined, { kind: 'exited', exit_code: 0 }],
  ['exit 0 in time, a child killed for memory', exited(0, true), 'timeout', { kind: 'exited', exit_code: 0 }],
  ['exit 0 cancelled, a child killed for memory', exited(0, true), 'cancel', { kind: 'cancelled', exit_code: 0 }],
  ['exit 0 just before the timeout took hold', exited(0), 'timeout', { kind: 'exited', exit_code: 0 }],
  ['exit 0 after a cancel was answered', exited(0), 'cancel', { kind: 'cancelled', exit_code: 0 }],
  ['exit 3', exited(3), undefined, { kind: 'exited', exit_code: 3 }],
  ['exit 3 while being stopped for time', exited(3), 'timeout', { kind: 'timeout', exit_code: 3 }],
  ['exit 3 while being cancelled', exited(3), 'cancel', { kind: 'cancelled', exit_code: 3 }],
  ['137 by the program itself', exited(137), undefined, { kind: 'exited', exit_code: 137 }],
  ['137 out of memory', exited(137, true), undefined, { kind: 'out_of_memory', exit_code: 137 }],
  ['1 out of memory', exited(1, true), undefined, { kind: 'out_of_memory', exit_code: 1 }],
  ['137 by our KILL after the timeout', exited(137), 'timeout', { kind: 'timeout', exit_code: 137 }],
  ['137 out of memory while stopped for time', exited(137, true), 'timeout', { kind: 'timeout', exit_code: 137 }],
  ['143 by our TERM after a cancel', exited(143), 'cancel', { kind: 'cancelled', exit_code: 143 }],
  ['137 out of memory while cancelled', exited(137, true), 'cancel', { kind: 'cancelled', exit_code: 137 }],
  [
    'no such program',
    { kind: 'start_failed', message: 'not found', exit_code: 127 },
    undefined,
    { kind: 'start_failed', message: 'not found', exit_code: 127 },
  ],
  [
    'no such program, timeout',
    { kind: 'start_failed', message: 'not found', exit_code: 127 },
    'timeout',
    { kind: 'timeout', exit_code: 127 },
  ],
  [
    'no such program, cancel',
    { kind: 'start_failed', message: 'not found', exit_code: 127 },
    'cancel',
    { kind: 'cancelled', exit_code: 127 },
  ],
  ['removed by others', { kind: 'removed' }, undefined, { kind: 'removed_externally' }],
  ['removed while stopped for time', { kind: 'removed' }, 'timeout', { kind: 'timeout', exit_code: null }],
  ['removed while cancelled', { kind: 'removed' }, 'cancel', { kind: 'cancelled', exit_code: null }],
  ['engine restarted', { kind: 'engine_restarted' }, undefined, { kind: 'engine_restarted' }],
  ['engine restarted, timeout', { kind: 'engine_restarted' }, 'timeout', { kind: 'timeout', exit_code: null }],
  ['engine restarted, cancel', { kind: 'engine_restarted' }, 'cancel', { kind: 'cancelled', exit_code: null }],
];

describe('toOutcome', () => {
  it.each(ROWS)('%s', (_what, report, intent, outcome) => {
    expect(toOutcome(report, intent)).toEqual(outcome);
  });

  it('covers every report under every intent', () => {
    const shape = ([, report, intent]: Row) => {
      const kind = report.kind === 'exited' ? `${report.exit_code === 0}-${report.oom_killed}` : report.kind;
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
});

describe('what is stored of an outcome', () => {
  it.each<[Outcome, string | null, string, number | null, string | null]>([
    [{ kind: 'exited', exit_code: 0 }, null, 'completed', 0, null],
    [{ kind: 'exited', exit_code: 2 }, 'exit_code', 'failed', 2, null],
    [{ kind: 'out_of_memory', exit_code: 137 }, 'out_of_memory', 'failed', 137, null],
    [{ kind: 'timeout', exit_code: null }, 'timeout', 'failed', null, null],
    [{ kind: 'cancelled', exit_code: 0 }, 'cancelled', 'cancelled', 0, null],
    [{ kind: 'image_not_found', message: 'no such image' }, 'image_not_found', 'failed', null, 'no such image'],
    [{ kind: 'image_pull_failed', message: 'no route' }, 'image_pull_failed', 'failed', null, 'no route'],
    [{ kind: 'start_failed', message: 'no such file', exit_code: 127 }, 'start_failed', 'failed', 127, 'no such file'],
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
