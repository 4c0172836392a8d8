import { isTerminal } from '@berth/domain';
import type { JobRecord } from '@berth/store';

/** I2: every id that was answered 2xx exists, and at rest it has ended. */
export const checkAccepted = (
  accepted: Iterable<string>,
  jobs: ReadonlyMap<string, Pick<JobRecord, 'state'>>,
  settled: boolean,
): string[] => {
  const problems: string[] = [];
  for (const job_id of new Set(accepted)) {
    const job = jobs.get(job_id);
    if (job === undefined) problems.push(`${job_id} was accepted and is not there`);
    else if (settled && !isTerminal(job.state)) problems.push(`${job_id} was accepted and is still ${job.state}`);
  }
  return problems;
};
