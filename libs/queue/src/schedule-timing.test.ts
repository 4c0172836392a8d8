import { describe, expect, it } from 'vitest';
import { findTimingProblem, toNextRuns } from './schedule-timing.js';

const runs = (cron: string, timezone: string, after: string, count: number): string[] =>
  toNextRuns({ cron, timezone }, Date.parse(after), count).map((ms) => new Date(ms).toISOString());

describe('toNextRuns', () => {
  it('follows the wall clock of the time zone through the change to winter time', () => {
    expect(runs('30 9 * * *', 'Europe/Berlin', '2026-10-23T12:00:00Z', 3)).toEqual([
      '2026-10-24T07:30:00.000Z',
      '2026-10-25T08:30:00.000Z',
      '2026-10-26T08:30:00.000Z',
    ]);
  });

  it('runs once on a night whose hour comes twice, and still on one that lacks it', () => {
    expect(runs('30 2 * * *', 'Europe/Berlin', '2026-10-24T12:00:00Z', 2).map((run) => run.slice(0, 10))).toEqual([
      '2026-10-25',
      '2026-10-26',
    ]);
    expect(runs('30 2 * * *', 'Europe/Berlin', '2026-03-28T12:00:00Z', 2).map((run) => run.slice(0, 10))).toEqual([
      '2026-03-29',
      '2026-03-30',
    ]);
  });
});

describe('findTimingProblem', () => {
  it.each(['* * * * *', '*/5 * * * * *', '0 0 29 2 *', '0 9 * * MON-FRI'])('takes %s', (cron) => {
    expect(findTimingProblem({ cron, timezone: 'UTC' })).toBeUndefined();
  });

  it.each(['', '* * * *', '* * * * * * *', '60 * * * *', '0 0 31 2 *', 'nightly'])('refuses %j', (cron) => {
    expect(findTimingProblem({ cron, timezone: 'UTC' })?.field).toBe('cron');
  });

  it('refuses a time zone that there is none of', () => {
    expect(findTimingProblem({ cron: '* * * * *', timezone: 'Europe/Atlantis' })?.field).toBe('timezone');
  });
});
