import { AppError, type Service, type ServiceState } from '@berth/domain';
import type { Context } from 'hono';
import { readPrincipal } from '../auth.js';
import type { Jobs } from '../jobs.js';
import { OrchestratorError, toStatusBody } from './orchestrator-errors.js';
import { createLookup, type LookupOptions, type NumberedRecord, toStatus } from './orchestrator-lookup.js';
import { createSubmit, type SubmitOptions } from './orchestrator-submit.js';
import { receiveUpload, refuseOtherSites } from './orchestrator-upload.js';
import type { AnswerZip } from './orchestrator-zip.js';

export interface OrchestratorOptions extends LookupOptions, SubmitOptions {
  jobs: Jobs;
  numbers: SubmitOptions['numbers'];
  services: ReadonlyMap<string, Service>;
  zip: AnswerZip;
}

/** What a terminate changes nothing about. */
const OVER: ServiceState[] = ['Completed', 'Failed', 'Invalid', 'Cleaned'];

const toTooLate = ({ id, status }: NumberedRecord): OrchestratorError =>
  new OrchestratorError(409, 'could not terminate job', { job: { id, status } });

/** The job orchestrator's format: files with a run.sh in, all that it left out, as one zip. */
export const createOrchestrator = (options: OrchestratorOptions) => {
  const { jobs, files, services, zip } = options;
  const submit = createSubmit(options);
  const { find, again } = createLookup(options);

  return {
    async upload(c: Context): Promise<Response> {
      refuseOtherSites(c);
      const number = await submit(readPrincipal(c).user, await receiveUpload(c, files, services));
      return c.json(toStatusBody('Job successfully uploaded', 'Queued', number), 201);
    },

    /** The zip of a completed job; else its status. */
    async download(c: Context): Promise<Response> {
      const found = await find(c);
      const { id, job, status } = found;
      if (job === null || status !== 'Completed') return c.json(toStatus(found), 200);
      const answer = await zip.kept(c, job);
      if (answer) return answer;
      const wasKept = job.attempts.some(({ artifacts }) => artifacts);
      const lost = toStatusBody('It ended well, but its files could not be kept', 'Failed', id);
      return c.json(wasKept ? toStatusBody('', 'Cleaned', id) : lost, 200);
    },

    /** What there is of it: of a running job what it has written so far. */
    async downloadPartial(c: Context): Promise<Response> {
      const found = await find(c);
      const { id, job, status } = found;
      const missing = new OrchestratorError(404, 'Job payload not found on client', { job: { id, status } });
      if (job === null || status === 'Cleaned') throw missing;
      const live = job.state === 'running' ? await zip.live(c, job) : undefined;
      const answer = live ?? (await zip.kept(c, (await again(found)).job ?? job));
      if (!answer) throw missing;
      return answer;
    },

    async terminate(c: Context): Promise<Response> {
      refuseOtherSites(c);
      const found = await find(c);
      if (found.job === null || OVER.includes(found.status)) throw toTooLate(found);
      try {
        await jobs.cancel(found.job.job_id);
      } catch (error) {
        if (!(error instanceof AppError) || error.code !== 'job_finished') throw error;
        throw toTooLate(await again(found));
      }
      return c.json(toStatusBody('job terminated', 'Unknown', found.id), 200);
    },
  };
};
