import { type Cause, type Outcome, toCause, toFinalState } from './outcome.js';
import type { RetryableCause, RetryPolicy } from './retry-policy.js';

/** The platform failed, not the job: started again without using up an attempt, whatever the policy says. */
const PLATFORM_FAULTS: ReadonlySet<Cause> = new Set(['engine_restarted', 'node_lost']);

/** After so many platform faults in a row without an end of its own, a job is taken to be what kills its workers. */
export const MAX_RESTARTS = 3;

/** What follows an attempt that ended. `lost` goes back to the queue at once, `retried` after `delay_ms`. */
export type Verdict = { next: 'end' } | { next: 'retried'; delay_ms: number } | { next: 'lost' };

/** `attempt` is the one that ended, from 1; `chance` is a random number in [0, 1), given so that this stays pure. */
export const judge = (outcome: Outcome, attempt: number, policy: RetryPolicy, chance: number): Verdict => {
  const cause = toCause(outcome);
  if (cause === null || toFinalState(outcome) !== 'failed') return { next: 'end' };
  if (PLATFORM_FAULTS.has(cause)) return { next: 'lost' };
  if (attempt >= policy.max_attempts || !policy.on.includes(cause as RetryableCause)) return { next: 'end' };
  return { next: 'retried', delay_ms: toBackoff(attempt, policy, chance) };
};

type Backoff = Pick<RetryPolicy, 'backoff_seconds' | 'max_backoff_seconds'>;

/** Whole milliseconds. Doubles with each attempt up to the most, half of it random so that many jobs do not come back in step. */
export const toBackoff = (attempt: number, policy: Backoff, chance: number): number => {
  const full = 1000 * Math.min(policy.backoff_seconds * 2 ** (attempt - 1), policy.max_backoff_seconds);
  return Math.round(full / 2 + (full / 2) * chance);
};
