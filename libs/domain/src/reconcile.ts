import type { JobState } from './job.js';

/**
 * What to do with a container of ours that no attempt of this worker holds, by what the record says of its job.
 *
 * - `keep`: the epoch is the present one. Somebody runs it, or will adopt it.
 * - `superfluous`: the job has ended or is gone, or the epoch is not the present one. To be removed, but only where it was found so
 *   twice in a row: a record is read after the containers were listed, and what was seen in between may be half a step.
 * - `overdue`: it should have been stopped by now, and was not. To be killed at once, and kept: it is the evidence.
 */
export type ContainerVerdict = 'keep' | 'superfluous' | 'overdue';

export interface FoundContainer {
  epoch: number;
  running: boolean;
  /** Unix milliseconds. */
  deadline_ms: number;
}

/** A container may outlive its deadline by this much before others than its worker act. */
export const DEADLINE_MARGIN_MS = 5_000;

export const judgeContainer = (
  found: FoundContainer,
  record: { state: JobState; epoch: number } | null,
  now_ms: number,
): ContainerVerdict => {
  if (record?.state !== 'running' || record.epoch !== found.epoch) return 'superfluous';
  return found.running && now_ms > found.deadline_ms + DEADLINE_MARGIN_MS ? 'overdue' : 'keep';
};
