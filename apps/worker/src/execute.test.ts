import { DEFAULT_CLASSES } from '@berth/domain';
import type { JobRecord, NewJob } from '@berth/store';
import { describe, expect, it } from 'vitest';
import { createExecutor, type ExecutorOptions, toExecution } from './execute.js';

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

/** The job that a command becomes where its class is as given. */
const acceptedIn = async (priority_across_users: boolean): Promise<NewJob | undefined> => {
  let accepted: NewJob | undefined;
  const accept = async (job: NewJob): Promise<never> => {
    accepted = job;
    throw new Error('that is all');
  };
  const options = {
    store: { jobs: { accept } },
    classes: DEFAULT_CLASSES.map((one) => ({ ...one, priority_across_users })),
    defaultImage: 'busybox:stable',
  } as unknown as ExecutorOptions;
  const execute = createExecutor(options);
  const request = { command: 'true', timeout: 30, env: {} } as never;
  await expect(execute(request, 'alice', new AbortController().signal)).rejects.toThrow('that is all');
  return accepted;
};

it('stands in the queue that its class has: of its user, or of all users', async () => {
  expect(await acceptedIn(false)).toMatchObject({ class: 'small', user: 'alice', across_users: false });
  expect(await acceptedIn(true)).toMatchObject({ class: 'small', user: 'alice', across_users: true });
});
