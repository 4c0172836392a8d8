import { describe, expect, it } from 'vitest';
import { jobSpecSchema } from './job-spec.js';
import { isBatchPlace, toArrayEnv, toArrayProgress, toArrayState, toArrayWindow } from './work-shape.js';

const NONE = { pending: 0, running: 0, completed: 0, failed: 0, cancelled: 0 };
const ID = '01890000-0000-7000-8000-000000000000';

describe('after', () => {
  it('waits for success where nothing else is said, and names jobs by id or place', () => {
    const spec = jobSpecSchema.parse({ command: 'x', after: [{ job: ID }, { job: '#12', condition: 'finished' }] });
    expect(spec.after).toEqual([
      { job: ID, condition: 'completed' },
      { job: '#12', condition: 'finished' },
    ]);
  });

  it.each([ID.replace('0189', 'A189'), '12', '#', '#01', '#-1', '#123456', `${ID} `, `${ID}\n`])(
    'takes %j for no job',
    (job) => {
      expect(jobSpecSchema.safeParse({ command: 'x', after: [{ job }] }).success).toBe(false);
    },
  );

  it('knows a place from an id', () => {
    expect(['#0', '#99999', ID, 'x', 7, null].map(isBatchPlace)).toEqual([true, true, false, false, false, false]);
  });
});

describe('array', () => {
  it.each<[object, boolean]>([
    [{ size: 1_000_000 }, true],
    [{ values: ['', 'é'] }, true],
    [{ size: 1_000_001 }, false],
    [{ size: 1.5 }, false],
    [{ values: [] }, false],
    [{ values: ['\0'] }, false],
    [{ values: ['x'.repeat(128 * 1024 - 'BERTH_ARRAY_VALUE='.length - 1)] }, true],
    [{ values: ['x'.repeat(128 * 1024 - 'BERTH_ARRAY_VALUE='.length)] }, false],
    [{ size: 1, max_running: 0 }, false],
    [{}, false],
  ])('takes %j: %s', (array, valid) => {
    expect(jobSpecSchema.safeParse({ command: 'x', array }).success).toBe(valid);
  });

  it.each([
    [undefined, 256],
    [1, 64],
    [32, 64],
    [50, 100],
    [1_000, 256],
  ])('has for max_running %s a window of %s pending jobs', (max_running, window) => {
    expect(toArrayWindow(max_running)).toBe(window);
  });

  it('is what its counts say', () => {
    const state = (counts: Partial<typeof NONE>) => toArrayState({ ...NONE, ...counts });
    expect(state({ pending: 2 })).toBe('pending');
    expect(state({ pending: 1, running: 1 })).toBe('running');
    expect(state({ pending: 1, cancelled: 1 })).toBe('running');
    expect(state({ completed: 2 })).toBe('completed');
    expect(state({ completed: 2, cancelled: 1 })).toBe('cancelled');
    expect(state({ completed: 2, cancelled: 1, failed: 1 })).toBe('failed');
    expect(toArrayProgress({ ...NONE, pending: 1, running: 1, completed: 1, failed: 1 })).toBe(0.5);
  });

  it('tells each job its place, and its value where there are any, also an empty one', () => {
    const task = { array_id: ID, index: 3, size: 7 };
    const env = { BERTH_ARRAY_ID: ID, BERTH_ARRAY_INDEX: '3', BERTH_ARRAY_SIZE: '7' };
    expect(toArrayEnv(task)).toEqual(env);
    expect(toArrayEnv({ ...task, value: '' })).toEqual({ ...env, BERTH_ARRAY_VALUE: '' });
  });
});
