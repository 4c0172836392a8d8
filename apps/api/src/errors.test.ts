import { AppError, jobSpecSchema } from '@berth/domain';
import { pino } from 'pino';
import { describe, expect, it } from 'vitest';
import { createErrorHandler, toProblem, toProblems } from './errors.js';

const problemsOf = (input: unknown) => {
  const parsed = jobSpecSchema.safeParse(input);
  return parsed.success ? [] : toProblems(parsed.error);
};

describe('toProblems', () => {
  it('names every problem with its path, unknown fields one by one', () => {
    const problems = problemsOf({ command: 'x', cpus: -1, memory_mb: 'y', privileged: true, binds: [] });
    expect(problems.map(({ path }) => path).sort()).toEqual(['$.binds', '$.cpus', '$.memory_mb', '$.privileged']);
  });

  it('says what is wrong with the alternative that was meant', () => {
    expect(problemsOf({ command: ['echo', 'a\0b'] })).toEqual([
      { path: '$.command[1]', message: 'must not contain a NUL character' },
    ]);
    expect(problemsOf({ command: 7 })).toEqual([
      { path: '$.command', message: 'must be a list of arguments, or a string for /bin/sh -c' },
    ]);
  });

  it('names a bad name by its place', () => {
    expect(problemsOf({ command: 'x', env: { 'A B': '1' } })[0]?.path).toBe('$.env["A B"]');
  });

  it('echoes no value', () => {
    const problems = problemsOf({ command: 'x', env: { TOKEN: 'hunter2\0' }, cpus: 'hunter2', network: 'hunter2' });
    expect(problems).toHaveLength(3);
    expect(JSON.stringify(problems)).not.toContain('hunter2');
  });
});

describe('createErrorHandler', () => {
  const handle = createErrorHandler(pino({ level: 'silent' }));

  it('maps a broker that is away to 503 with Retry-After', () => {
    const response = handle(Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' }));
    expect(response.status).toBe(503);
    expect(response.headers.get('retry-after')).toBe('2');
  });

  it('shows nothing of a bug', async () => {
    const response = handle(new TypeError('secret of the inside'));
    expect(response.status).toBe(500);
    expect(await response.text()).not.toContain('secret');
  });

  it('carries the details of an error in the document', () => {
    const problem = toProblem(new AppError('job_finished', 'It is over.', { details: { state: 'failed' } }));
    expect(problem).toMatchObject({ status: 409, code: 'job_finished', state: 'failed', detail: 'It is over.' });
  });
});
