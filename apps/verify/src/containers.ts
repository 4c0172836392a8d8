import type { JobRecord } from '@berth/store';
import type { SeenContainer } from './evidence.js';

const DEADLINE_MARGIN_SECONDS = 15;

/**
 * I3: every running container belongs to a running job of the same epoch, and none runs 15 s past its deadline. A paused one runs no
 * instruction: a worker that fenced itself leaves such containers for others to remove.
 */
export const checkContainers = (
  containers: SeenContainer[],
  jobs: ReadonlyMap<string, Pick<JobRecord, 'state' | 'epoch'>>,
  now_ms: number,
): { stray: SeenContainer[]; problems: string[] } => {
  const stray: SeenContainer[] = [];
  const problems: string[] = [];
  for (const container of containers.filter(({ running, paused }) => running && !paused)) {
    const job = jobs.get(container.job_id);
    const { job_id, epoch, deadline } = container;
    if (job?.state !== 'running' || job.epoch !== epoch) {
      stray.push(container);
      problems.push(
        `${job_id} epoch ${epoch} runs, but the job is ${job ? `${job.state} in epoch ${job.epoch}` : 'unknown'}`,
      );
    }
    const late = Math.floor(now_ms / 1000 - deadline);
    if (late > DEADLINE_MARGIN_SECONDS) problems.push(`${job_id} epoch ${epoch} runs ${late} s past its deadline`);
  }
  return { stray, problems };
};
