import { describe, expect, it } from 'vitest';
import { imageCommandSpecSchema, jobSpecSchema } from './job-spec.js';
import { toRetryPolicy } from './retry-policy.js';

const parse = (fields: object) => jobSpecSchema.parse({ command: 'x', ...fields });

describe('the retries of a spec', () => {
  it('have one form, however they were asked for', () => {
    const { max_attempts, retry } = parse({ max_attempts: 3 });
    expect([max_attempts, retry.max_attempts]).toEqual([3, 3]);
    expect(parse({ retry: { max_attempts: 3 } })).toMatchObject({ max_attempts, retry });
    expect(parse({ max_attempts: 3, retry: { max_attempts: 3 } })).toMatchObject({ max_attempts, retry });
    expect(imageCommandSpecSchema.parse({ command: [], max_attempts: 3 })).toMatchObject({ max_attempts, retry });
  });

  it('keep what was said beside the short form', () => {
    const { retry } = parse({ max_attempts: 2, retry: { on: ['start_failed'], backoff_seconds: 0.5 } });
    expect(retry).toEqual({ max_attempts: 2, on: ['start_failed'], backoff_seconds: 0.5, max_backoff_seconds: 60 });
  });

  it('are taken again when they come back from storage, and made up where an older version stored none', () => {
    const spec = parse({ max_attempts: 4 });
    expect(jobSpecSchema.parse(JSON.parse(JSON.stringify(spec)))).toEqual(spec);
    expect(toRetryPolicy({ max_attempts: 4 })).toEqual(spec.retry);
  });

  it.each<[string, object]>([
    ['no pause', { max_attempts: 100, backoff_seconds: 0, max_backoff_seconds: 0 }],
    ['the longest pauses', { backoff_seconds: 3_600, max_backoff_seconds: 86_400 }],
    ['a cause', { on: ['start_failed'] }],
    ['nothing', {}],
  ])('may say %s', (_what, retry) => {
    expect(parse({ retry }).retry).toMatchObject(retry);
  });

  it.each<[string, object, (string | number)[]]>([
    ['two numbers', { max_attempts: 2, retry: { max_attempts: 3 } }, ['max_attempts']],
    ['attempts −1', { retry: { max_attempts: -1 } }, ['retry', 'max_attempts']],
    ['1e6 attempts', { retry: { max_attempts: 1e6 } }, ['retry', 'max_attempts']],
    ['no cause', { retry: { on: [] } }, ['retry', 'on']],
    ['a cause twice', { retry: { on: ['timeout', 'timeout'] } }, ['retry', 'on']],
    ['a cause that is none', { retry: { on: ['boredom'] } }, ['retry', 'on', 0]],
    ['a cancel', { retry: { on: ['cancelled'] } }, ['retry', 'on', 0]],
    ['a fault of the platform', { retry: { on: ['node_lost'] } }, ['retry', 'on', 0]],
    ['a pause below none', { retry: { backoff_seconds: -1 } }, ['retry', 'backoff_seconds']],
    ['a pause as a text', { retry: { backoff_seconds: '1' } }, ['retry', 'backoff_seconds']],
    [
      'a first pause of more than an hour',
      { retry: { backoff_seconds: 3_601, max_backoff_seconds: 9_000 } },
      ['retry', 'backoff_seconds'],
    ],
    ['a pause of more than a day', { retry: { max_backoff_seconds: 86_401 } }, ['retry', 'max_backoff_seconds']],
    ['a first pause beyond the longest', { retry: { backoff_seconds: 61 } }, ['retry', 'max_backoff_seconds']],
    ['an unknown wish', { retry: { jitter: true } }, ['retry']],
    ['a number alone', { retry: 3 }, ['retry']],
  ])('must not say %s', (_what, fields, path) => {
    const { error } = jobSpecSchema.safeParse({ command: 'x', ...fields });
    expect(error?.issues.map((issue) => issue.path)).toEqual([path]);
  });

  it('say in words how two numbers of attempts came to differ', () => {
    const { error } = jobSpecSchema.safeParse({ command: 'x', max_attempts: 2, retry: { max_attempts: 3 } });
    expect(error?.issues[0]?.message).toContain('short form of retry.max_attempts and differs from it');
  });
});
