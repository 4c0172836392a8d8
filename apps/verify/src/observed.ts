import type { JobEvent } from '@berth/domain';
import type { Observation } from './evidence.js';

/**
 * I10: what the replicas showed of a job, one answer after the other, never went back: the states can be found in its history in
 * the same order.
 */
export const checkObserved = (
  observations: Observation[],
  histories: ReadonlyMap<string, Pick<JobEvent, 'state'>[]>,
): string[] => {
  const places = new Map<string, number>();
  const problems = new Map<string, string>();
  for (const { job_id, state } of observations) {
    const history = histories.get(job_id) ?? [];
    const from = places.get(job_id) ?? 0;
    const found = history.findIndex((event, i) => i >= from && event.state === state);
    if (found >= 0) places.set(job_id, found);
    else if (!problems.has(job_id))
      problems.set(
        job_id,
        `${job_id} was shown as ${state} after ${history[from]?.state ?? 'nothing'}, which it never was`,
      );
  }
  return [...problems.values()];
};
