import type { JobState } from './job.js';

/** Why a job or an attempt did not complete. A completed one has no cause. */
export const CAUSES = [
  'exit_code',
  'out_of_memory',
  'timeout',
  'cancelled',
  'queue_timeout',
  'image_not_found',
  'image_pull_failed',
  'start_failed',
  'removed_externally',
  'engine_restarted',
  'node_lost',
  'poison',
] as const;
export type Cause = (typeof CAUSES)[number];

/** How an attempt ended: expected, stored, never thrown. */
export type Outcome =
  | { kind: 'exited'; exit_code: number }
  | { kind: 'out_of_memory'; exit_code: number }
  | { kind: 'timeout'; exit_code: number | null }
  | { kind: 'cancelled'; exit_code: number | null }
  | { kind: 'image_not_found'; message: string }
  | { kind: 'image_pull_failed'; message: string }
  | { kind: 'start_failed'; message: string; exit_code: number | null }
  | { kind: 'removed_externally' }
  | { kind: 'engine_restarted'; message?: string };

/** Why we ourselves ended a container. Recorded before the first signal is sent. */
export type Intent = 'cancel' | 'timeout';

/** What the engine shows of a container after its end. Only this decides how it ended. */
export type ExitReport =
  | { kind: 'exited'; exit_code: number; oom_killed: boolean; started_at: number | null; finished_at: number }
  | { kind: 'start_failed'; message: string; exit_code: number }
  | { kind: 'removed' }
  | { kind: 'engine_restarted' };

/**
 * An exit code of 0 that was reached in time stands, whatever we had in mind: the program finished first. A cancel is the
 * exception: whoever asked was told that the job is cancelled, so it is.
 */
export const toOutcome = (report: ExitReport, intent: Intent | undefined): Outcome => {
  const exit_code = 'exit_code' in report ? report.exit_code : null;
  if (intent === 'cancel') return { kind: 'cancelled', exit_code };
  if (intent === 'timeout' && exit_code !== 0) return { kind: 'timeout', exit_code };
  if (report.kind === 'removed') return { kind: 'removed_externally' };
  if (report.kind === 'engine_restarted' || report.kind === 'start_failed') return report;
  if (report.exit_code !== 0 && report.oom_killed) return { kind: 'out_of_memory', exit_code: report.exit_code };
  return { kind: 'exited', exit_code: report.exit_code };
};

export const toCause = (outcome: Outcome): Cause | null => {
  if (outcome.kind === 'exited') return outcome.exit_code === 0 ? null : 'exit_code';
  return outcome.kind;
};

export const toExitCode = (outcome: Outcome): number | null => ('exit_code' in outcome ? outcome.exit_code : null);

export const toMessage = (outcome: Outcome): string | null => ('message' in outcome ? (outcome.message ?? null) : null);

export const toFinalState = (outcome: Outcome): JobState => {
  if (outcome.kind === 'cancelled') return 'cancelled';
  return toCause(outcome) === null ? 'completed' : 'failed';
};
