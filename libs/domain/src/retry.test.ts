import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Outcome } from './outcome.js';
import { judge, toBackoff } from './retry.js';
import { type RetryPolicy, toRetryPolicy } from './retry-policy.js';

const policy = (fields: Partial<RetryPolicy> = {}): RetryPolicy => ({ ...toRetryPolicy({}), ...fields });
const tries = (max_attempts: number) => policy({ max_attempts });

const FAILURES: Record<string, Outcome> = {
  exit_code: { kind: 'exited', exit_code: 1 },
  out_of_memory: { kind: 'out_of_memory', exit_code: 137 },
  timeout: { kind: 'timeout', exit_code: null },
  image_not_found: { kind: 'image_not_found', message: 'no such image' },
  image_pull_failed: { kind: 'image_pull_failed', message: 'no route' },
  start_failed: { kind: 'start_failed', message: 'no such file', exit_code: 127 },
  killed_externally: { kind: 'killed_externally', exit_code: 137 },
  removed_externally: { kind: 'removed_externally' },
};
const CAUSES = Object.keys(FAILURES) as RetryPolicy['on'];
const BY_DEFAULT = [
  'exit_code',
  'out_of_memory',
  'timeout',
  'image_pull_failed',
  'killed_externally',
  'removed_externally',
];
const outcomeOf = (cause: string): Outcome => FAILURES[cause] as Outcome;

describe('judge', () => {
  it.each(BY_DEFAULT)('tries again by default while attempts are left: %s', (cause) => {
    const outcome = outcomeOf(cause);
    expect(judge(outcome, 1, tries(3), 0)).toEqual({ next: 'retried', delay_ms: 500 });
    expect(judge(outcome, 2, tries(3), 0)).toEqual({ next: 'retried', delay_ms: 1_000 });
    expect(judge(outcome, 3, tries(3), 0)).toEqual({ next: 'end' });
    expect(judge(outcome, 1, tries(1), 0)).toEqual({ next: 'end' });
  });

  it.each(['image_not_found', 'start_failed'])('does not by default, though attempts are left: %s', (cause) => {
    expect(judge(outcomeOf(cause), 1, tries(100), 0)).toEqual({ next: 'end' });
  });

  it('tries again for the causes that it was asked to, and for no other', () => {
    for (const on of CAUSES) {
      const next = CAUSES.filter((cause) => {
        return judge(outcomeOf(cause), 1, policy({ max_attempts: 2, on: [on] }), 0).next === 'retried';
      });
      expect(next).toEqual([on]);
    }
  });

  it.each<Outcome>([
    { kind: 'exited', exit_code: 0 },
    { kind: 'cancelled', exit_code: 143 },
  ])('never tries again what did not fail: %j', (outcome) => {
    expect(judge(outcome, 1, policy({ max_attempts: 100, on: CAUSES }), 0)).toEqual({ next: 'end' });
  });

  it('does not charge the job for a fault of the platform, whatever the policy', () => {
    expect(judge({ kind: 'engine_restarted' }, 1, tries(1), 0)).toEqual({ next: 'lost' });
    expect(judge({ kind: 'engine_restarted' }, 9, policy({ max_attempts: 9, on: ['timeout'] }), 0)).toEqual({
      next: 'lost',
    });
  });
});

describe('toBackoff', () => {
  it('doubles from one second to one minute where nobody asked otherwise', () => {
    expect([1, 2, 3, 4, 5, 6, 7, 8].map((attempt) => toBackoff(attempt, policy(), 1))).toEqual([
      1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000,
    ]);
  });

  it('is nothing where nothing was asked for', () => {
    expect(toBackoff(100, { backoff_seconds: 0, max_backoff_seconds: 0 }, 0.5)).toBe(0);
  });

  const anyBackoff = fc
    .tuple(fc.double({ min: 0, max: 3_600, noNaN: true }), fc.double({ min: 0, max: 86_400, noNaN: true }))
    .map(([a, b]) => ({ backoff_seconds: Math.min(a, b), max_backoff_seconds: b }));
  const anyAttempt = fc.integer({ min: 1, max: 100 });
  const anyChance = fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true });

  it('is a whole number of milliseconds, between half of the full pause and all of it, and never above the most', () => {
    fc.assert(
      fc.property(anyAttempt, anyBackoff, anyChance, (attempt, backoff, chance) => {
        const full = 1000 * Math.min(backoff.backoff_seconds * 2 ** (attempt - 1), backoff.max_backoff_seconds);
        const delay = toBackoff(attempt, backoff, chance);
        expect(Number.isInteger(delay)).toBe(true);
        expect(delay).toBeGreaterThanOrEqual(Math.floor(full / 2));
        expect(delay).toBeLessThanOrEqual(Math.ceil(full));
        expect(delay).toBeLessThanOrEqual(Math.ceil(backoff.max_backoff_seconds * 1000));
      }),
    );
  });

  it('never shrinks from one attempt to the next, doubles until the most, and grows with chance', () => {
    fc.assert(
      fc.property(anyAttempt, anyBackoff, anyChance, anyChance, (attempt, backoff, a, b) => {
        const now = toBackoff(attempt, backoff, a);
        const next = toBackoff(attempt + 1, backoff, a);
        expect(next).toBeGreaterThanOrEqual(now);
        const doubled = backoff.backoff_seconds * 2 ** attempt <= backoff.max_backoff_seconds;
        if (doubled) expect(Math.abs(next - 2 * now)).toBeLessThanOrEqual(2);
        if (a <= b) expect(toBackoff(attempt, backoff, b)).toBeGreaterThanOrEqual(now);
      }),
    );
  });

  it('spreads jobs that failed together over half of the pause', () => {
    const delays = Array.from({ length: 100 }, (_, i) => toBackoff(3, policy(), i / 100));
    expect(new Set(delays).size).toBe(100);
    expect([Math.min(...delays), Math.max(...delays)]).toEqual([2_000, 3_980]);
  });
});
