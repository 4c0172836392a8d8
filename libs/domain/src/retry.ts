import { type Cause, type Outcome, toCause, toFinalState } from './outcome.js';

/** The user's program or its surroundings failed in a way that another try may mend. */
const WORTH_ANOTHER_ATTEMPT: ReadonlySet<Cause> = new Set([
  'exit_code',
  'out_of_memory',
  'timeout',
  'image_pull_failed',
]);

/** The platform failed, not the job: started again without using up an attempt. */
const PLATFORM_FAULTS: ReadonlySet<Cause> = new Set(['engine_restarted', 'node_lost']);

/** After so many platform faults in a row without an end of its own, a job is taken to be what kills its workers. */
export const MAX_RESTARTS = 3;

const FIRST_BACKOFF_MS = 1_000;
const MAX_BACKOFF_MS = 60_000;

/** What follows an attempt that ended. `lost` goes back to the queue at once, `retried` after `delay_ms`. */
export type Verdict = { next: 'end' } | { next: 'retried'; delay_ms: number } | { next: 'lost' };

/** `chance` is a random number in [0, 1), given so that this stays pure. */
export const judge = (outcome: Outcome, attempt: number, max_attempts: number, chance: number): Verdict => {
  const cause = toCause(outcome);
  if (cause === null || toFinalState(outcome) !== 'failed') return { next: 'end' };
  if (PLATFORM_FAULTS.has(cause)) return { next: 'lost' };
  if (attempt >= max_attempts || !WORTH_ANOTHER_ATTEMPT.has(cause)) return { next: 'end' };
  return { next: 'retried', delay_ms: toBackoff(attempt, chance) };
};

/** Exponential, 1 s to 60 s, with half of it random so that many jobs do not come back in step. */
export const toBackoff = (attempt: number, chance: number): number => {
  const full = Math.min(FIRST_BACKOFF_MS * 2 ** (attempt - 1), MAX_BACKOFF_MS);
  return Math.round(full / 2 + (full / 2) * chance);
};
