import type { JobRecord } from '@berth/store';
import { describe, expect, it } from 'vitest';
import { toExecution } from './execute.js';

const toRecord = (fields: Partial<JobRecord>): JobRecord =>
  ({
    state: 'failed',
    spec: { timeout_seconds: 9 },
    message: null,
    started_at: 1_000,
    finished_at: 3_500,
    ...fields,
  }) as JobRecord;

describe('toExecution', () => {
  const output = { stdout: 'out', stderr: 'err' };
  it.each([
    [
      { cause: null, exit_code: 0 },
      { exit_code: 0, stderr: 'err' },
    ],
    [
      { cause: 'exit_code', exit_code: 3 },
      { exit_code: 3, stderr: 'err' },
    ],
    [
      { cause: 'timeout', exit_code: 137 },
      { exit_code: -1, stderr: 'Command timed out after 9 seconds\nerr' },
    ],
    [
      { cause: 'out_of_memory', exit_code: 137 },
      { exit_code: 137, stderr: 'err\nExecution error: Job ran out of memory' },
    ],
    [
      { cause: 'image_not_found', exit_code: null, message: 'no such image' },
      { exit_code: -1, stderr: 'err\nExecution error: Image not found: no such image' },
    ],
    [
      { cause: 'cancelled', exit_code: 0 },
      { exit_code: -1, stderr: 'err\nExecution error: Job was cancelled' },
    ],
  ] as [Partial<JobRecord>, object][])('%j', (fields, expected) => {
    expect(toExecution(toRecord(fields), output)).toEqual({ stdout: 'out', runtime_ms: 2_500, ...expected });
  });

  it('took no time where it never ran', () => {
    const record = toRecord({ cause: 'cancelled', exit_code: null, started_at: null });
    expect(toExecution(record, { stdout: '', stderr: '' })).toEqual({
      exit_code: -1,
      stdout: '',
      stderr: 'Execution error: Job was cancelled',
      runtime_ms: 0,
    });
  });
});
