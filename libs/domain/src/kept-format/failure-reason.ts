import type { Cause } from '../outcome.js';

const REASONS: Partial<Record<Cause, string>> = {
  out_of_memory: 'Job ran out of memory',
  cancelled: 'Job was cancelled',
  queue_timeout: 'Job waited too long',
  dependency_failed: 'A job that it was to run after ended otherwise',
  image_not_found: 'Image not found',
  image_pull_failed: 'Image could not be pulled',
  start_failed: 'Job could not be started',
  killed_externally: 'Container was killed by someone else',
  removed_externally: 'Container was removed by someone else',
  engine_restarted: 'Container engine was restarted',
  node_lost: 'Machine was lost',
  poison: 'Job was given up: its machine was lost each time it ran',
};

/** Why a job ended that did not end by itself, for formats that have only `stderr` to say so. */
export const toFailureReason = (cause: Cause, message: string | null): string => {
  const reason = REASONS[cause] ?? 'Job failed';
  return message ? `${reason}: ${message}` : reason;
};

/** A text on a line of its own behind what was written. */
export const withLine = (text: string, line: string): string =>
  text === '' ? line : `${text}${text.endsWith('\n') ? '' : '\n'}${line}`;
