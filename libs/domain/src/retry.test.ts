import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Outcome } from './outcome.js';
import { judge, toBackoff } from './retry.js';

const worthIt: Outcome[] = [
  { kind: 'exited', exit_code: 1 },
  { kind: 'out_of_memory', exit_code: 137 },
  { kind: 'timeout', exit_code: null },
  { kind: 'image_pull_failed', message: 'no route' },
];
const final: Outcome[] = [
  { kind: 'exited', exit_code: 0 },
  { kind: 'cancelled', exit_code: 143 },
  { kind: 'image_not_found', message: 'no such image' },
  { kind: 'start_failed', message: 'no such file', exit_code: 127 },
  { kind: 'removed_externally' },
];

describe('judge', () => {
  it.each(worthIt)('tries again while attempts are left: %j', (outcome) => {
    expect(judge(outcome, 1, 3, 0)).toEqual({ next: 'retried', delay_ms: 500 });
    expect(judge(outcome, 2, 3, 0)).toEqual({ next: 'retried', delay_ms: 1_000 });
    expect(judge(outcome, 3, 3, 0)).toEqual({ next: 'end' });
    expect(judge(outcome, 1, 1, 0)).toEqual({ next: 'end' });
  });

  it.each(final)('never tries again: %j', (outcome) => {
    expect(judge(outcome, 1, 100, 0)).toEqual({ next: 'end' });
  });

  it('does not charge the job for a fault of the platform', () => {
    expect(judge({ kind: 'engine_restarted' }, 1, 1, 0)).toEqual({ next: 'lost' });
  });
});

describe('toBackoff', () => {
  it('doubles from one second to one minute', () => {
    expect([1, 2, 3, 4, 5, 6, 7, 8].map((attempt) => toBackoff(attempt, 1))).toEqual([
      1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000,
    ]);
  });

  it('is a whole number of milliseconds between half and all of it, for any attempt', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 100 }), fc.double({ min: 0, max: 1, noNaN: true }), (attempt, chance) => {
        const full = toBackoff(attempt, 1);
        const delay = toBackoff(attempt, chance);
        expect(Number.isInteger(delay)).toBe(true);
        expect(delay).toBeGreaterThanOrEqual(full / 2);
        expect(delay).toBeLessThanOrEqual(full);
        expect(full).toBeLessThanOrEqual(60_000);
      }),
    );
  });
});
