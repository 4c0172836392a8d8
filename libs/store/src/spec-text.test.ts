import { jobSpecSchema } from '@berth/domain';
import { describe, expect, it } from 'vitest';
import { toSpec, toSpecText } from './spec-text.js';

const toJobSpec = (input: object) => ({ ...jobSpecSchema.parse({ command: 'true', ...input }), image: 'busybox' });

describe('the text of a spec', () => {
  it.each([
    ['asks for nothing', {}],
    ['has a name, labels and environment', { name: 'train', labels: { team: 'vision' }, env: { SEED: '1' } }],
    ['may run three times', { max_attempts: 3 }],
    ['has a retry policy of its own', { retry: { max_attempts: 2, on: ['timeout'], backoff_seconds: 0 } }],
    [
      'stops at once, elsewhere, with a network',
      { stop_grace_seconds: 0, workdir: '/', network: 'egress', priority: 0 },
    ],
    ['has files and follows others', { outputs: ['out/**'], after: [{ job: '01a2073f-1cca-758f-9a89-c365189fb7d1' }] }],
  ])('says all of a job that %s', (_what, input) => {
    const spec = toJobSpec(input);
    expect(toSpec(toSpecText(spec))).toEqual(spec);
  });

  it('leaves out what most jobs have', () => {
    expect(toSpecText(toJobSpec({ max_attempts: 3, name: 'a' }))).toBe(
      '{"command":"true","name":"a","cpus":1,"memory_mb":256,"timeout_seconds":3600,"max_attempts":3,"image":"busybox"}',
    );
  });

  it('means the same in records that have everything in them', () => {
    const spec = toJobSpec({ max_attempts: 2, labels: { a: 'b' } });
    expect(toSpec(JSON.stringify(spec))).toEqual(spec);
  });

  it('means what it meant whatever new jobs get by default', () => {
    expect(toSpec('{"command":"true","image":"busybox"}')).toEqual({
      ...{ command: 'true', image: 'busybox', labels: {}, env: {}, workdir: '/workspace', stop_grace_seconds: 10 },
      ...{ network: 'none', priority: 50, max_attempts: 1 },
      retry: {
        max_attempts: 1,
        on: ['exit_code', 'out_of_memory', 'timeout', 'image_pull_failed', 'killed_externally', 'removed_externally'],
        ...{ backoff_seconds: 1, max_backoff_seconds: 60 },
      },
    });
  });
});
