import { describe, expect, test } from 'vitest';
import { checkContainers } from './containers.js';
import type { SeenContainer } from './evidence.js';

const container: SeenContainer = { id: 'c', job_id: 'j', epoch: 2, deadline: 100, running: true, paused: false };
const look = (more: Partial<SeenContainer>, job: { state: 'running' | 'failed'; epoch: number }, now_seconds = 50) =>
  checkContainers([{ ...container, ...more }], new Map([['j', job]]), now_seconds * 1000).problems;
const running = { state: 'running', epoch: 2 } as const;

describe('I3', () => {
  test('holds for the container of a running job, for a paused one and for an ended one', () => {
    expect(look({}, running)).toEqual([]);
    expect(look({ paused: true }, { state: 'failed', epoch: 2 })).toEqual([]);
    expect(look({ running: false }, { state: 'failed', epoch: 2 })).toEqual([]);
  });

  test.each([
    [
      'of a job that has ended',
      {},
      { state: 'failed', epoch: 2 } as const,
      'j epoch 2 runs, but the job is failed in epoch 2',
    ],
    [
      'of an older epoch',
      {},
      { state: 'running', epoch: 3 } as const,
      'j epoch 2 runs, but the job is running in epoch 3',
    ],
    ['of no job', { job_id: 'k' }, running, 'k epoch 2 runs, but the job is unknown'],
  ])('sees one %s', (_, more, job, problem) => {
    expect(look(more, job)).toEqual([problem]);
  });

  test('sees one that runs past its deadline, after 15 s', () => {
    expect(look({}, running, 115)).toEqual([]);
    expect(look({}, running, 117)).toEqual(['j epoch 2 runs 17 s past its deadline']);
  });
});
