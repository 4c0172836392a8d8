import { AppError } from '@berth/domain';
import { type JobRecord, objectNames, type PartialOutputStore } from '@berth/store';
import type { ArtifactSet } from './artifact-set.js';

/** Has the worker of a running job collect what the job has written so far. Throws AppError `conflict` or `unavailable` where it does not. */
export const createCollectNow =
  (partials: Pick<PartialOutputStore, 'request'>) =>
  async ({ job_id, attempt }: JobRecord): Promise<ArtifactSet> => {
    const found = await partials.request(job_id);
    if (found === 'not_running') {
      throw new AppError(
        'conflict',
        'The container of this job is not running: nobody can look into it now. Ask again.',
      );
    }
    if (found === 'timeout') {
      throw new AppError('unavailable', 'The worker of this job did not answer in time. Ask again in a few seconds.');
    }
    const { part, ...summary } = found;
    return { attempt, summary, names: objectNames.partialOutputs(job_id, part), partial: true };
  };
