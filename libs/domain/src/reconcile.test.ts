import { describe, expect, it } from 'vitest';
import type { JobState } from './job.js';
import { DEADLINE_MARGIN_MS, type FoundContainer, judgeContainer } from './reconcile.js';

const NOW = 1_000_000_000_000;
const LATE = NOW - DEADLINE_MARGIN_MS - 1;
const EARLY = NOW + 60_000;

const found = (epoch: number, running: boolean, deadline_ms = EARLY): FoundContainer => ({
  epoch,
  running,
  deadline_ms,
});
const record = (state: JobState, epoch: number) => ({ state, epoch });

describe('judgeContainer', () => {
  it.each<[string, FoundContainer, ReturnType<typeof record> | null, string]>([
    ['running, of the present epoch', found(2, true), record('running', 2), 'keep'],
    ['not running yet, of the present epoch', found(2, false), record('running', 2), 'keep'],
    ['ended, of the present epoch, past its deadline: evidence', found(2, false, LATE), record('running', 2), 'keep'],
    ['running, past its deadline', found(2, true, LATE), record('running', 2), 'overdue'],
    ['running, past its deadline by no more than the margin', found(2, true, LATE + 1), record('running', 2), 'keep'],
    ['running, of an older epoch', found(1, true), record('running', 2), 'superfluous'],
    ['running, of an older epoch, past its deadline', found(1, true, LATE), record('running', 2), 'superfluous'],
    ['running, of an epoch that is not yet seen', found(3, true), record('running', 2), 'superfluous'],
    ['of a job that waits', found(2, true), record('pending', 2), 'superfluous'],
    ['of a job that has ended', found(2, true), record('completed', 2), 'superfluous'],
    ['of a job that is cancelled', found(2, false), record('cancelled', 2), 'superfluous'],
    ['of a job that has failed', found(2, true, LATE), record('failed', 2), 'superfluous'],
    ['of a job that nobody knows', found(2, false), null, 'superfluous'],
  ])('%s', (_what, container, known, verdict) => {
    expect(judgeContainer(container, known, NOW)).toBe(verdict);
  });
});
