import { describe, expect, test } from 'vitest';
import { toJobPath, toRowTitle, toShownData } from './board-rows.js';

const data = { job_id: 'j1', image: 'busybox:stable', command: 'echo hi' };

describe('toRowTitle', () => {
  test('shows a job that has not ended', () => {
    expect(toRowTitle({ name: 'greet', data, returnvalue: null, progress: 0 })).toBe(
      'greet · busybox:stable · echo hi',
    );
  });

  test('does not repeat a command that stands in for a name', () => {
    expect(toRowTitle({ name: 'echo hi', data })).toBe('busybox:stable · echo hi');
  });

  test('shows node and outcome of one that has completed', () => {
    const returnvalue = { state: 'completed', node: 'vm', exit_code: 0, cause: null };
    expect(toRowTitle({ name: 'greet', data, returnvalue })).toBe(
      'greet · busybox:stable · echo hi · completed, on vm',
    );
  });

  test.each([
    [{ state: 'failed', node: 'vm', exit_code: 3, cause: 'exit_code' }, 'failed, exit code 3, on vm'],
    [{ state: 'failed', node: 'vm', exit_code: null, cause: 'out_of_memory' }, 'failed, out of memory, on vm'],
    [{ state: 'failed', node: 'vm', exit_code: 143, cause: 'timeout' }, 'failed, timeout, on vm'],
    [{ state: 'cancelled', node: 'vm', exit_code: 143, cause: 'cancelled' }, 'cancelled, on vm'],
    [{ state: 'pending', node: 'vm', exit_code: null, cause: null }, 'pending, on vm'],
  ])('shows the note that a failure leaves in the progress: %j', (progress, end) => {
    expect(toRowTitle({ name: 'greet', data, returnvalue: null, progress })).toBe(
      `greet · busybox:stable · echo hi · ${end}`,
    );
  });

  test('takes what is no message and no note for nothing', () => {
    expect(toRowTitle({ name: 'odd', data: 'text', returnvalue: 'done', progress: 50 })).toBe('odd');
    expect(toRowTitle({ name: 'odd', data: null, returnvalue: { state: 1, node: [] } })).toBe('odd');
  });

  test('shows no character that hides or turns what follows', () => {
    const title = toRowTitle({ name: 'a\u001b]8;;x\u0007b', data: { ...data, command: 'rm \u202egpj.exe\n' } });
    expect(title).toBe('a ]8;;x b · busybox:stable · rm  gpj.exe ');
  });
});

test('toShownData keeps the three fields and nothing else', () => {
  expect(toShownData({ ...data, secret: 'x', image: 7 })).toEqual({ job_id: 'j1', image: '', command: 'echo hi' });
});

test('toJobPath cannot leave /v1/jobs', () => {
  expect(toJobPath(data)).toBe('/v1/jobs/j1');
  expect(toJobPath({ job_id: '../../x?a#"' })).toBe('/v1/jobs/..%2F..%2Fx%3Fa%23%22');
});
