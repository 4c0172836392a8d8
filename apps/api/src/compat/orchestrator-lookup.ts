import { AppError, type ServiceState, toServiceMessage, toServiceState } from '@berth/domain';
import { type JobNumbers, type JobRecord, MAX_JOB_NUMBER } from '@berth/store';
import type { Context } from 'hono';
import { isOwn } from '../auth.js';
import type { Jobs } from '../jobs.js';
import { OrchestratorError, type StatusBody, toStatusBody } from './orchestrator-errors.js';

export interface LookupOptions {
  jobs: Pick<Jobs, 'read'>;
  numbers: Pick<JobNumbers, 'find'>;
  maxAgeSeconds: number;
  now: () => number;
}

/** A job by its number. `job` null: its record is gone, and so are its files. */
export interface NumberedRecord {
  id: number;
  job: JobRecord | null;
  status: ServiceState;
}

const parseNumber = (text: string): number => {
  const number = /^\d{1,10}$/.test(text) ? Number(text) : Number.NaN;
  if (number <= MAX_JOB_NUMBER) return number;
  throw new OrchestratorError(400, 'Invalid URL: the id of a job is a whole number');
};

export const toStatus = ({ id, job, status }: NumberedRecord): StatusBody =>
  toStatusBody(job ? toServiceMessage(job) : '', status, id);

/** Finds jobs by their numbers, and says how they are in this format's words. */
export const createLookup = ({ jobs, numbers, maxAgeSeconds, now }: LookupOptions) => {
  const read = async (id: number, job_id: string): Promise<NumberedRecord> => {
    const job = await jobs.read(job_id).catch((error) => {
      if (error instanceof AppError && error.code === 'not_found') return null;
      throw error;
    });
    return { id, job, status: job === null ? 'Cleaned' : toServiceState(job, now() - maxAgeSeconds * 1000) };
  };

  return {
    /** Throws 404 in the same words where there is none and where it is another user's. */
    async find(c: Context): Promise<NumberedRecord> {
      const id = parseNumber(c.req.param('id') ?? '');
      const known = await numbers.find(id);
      if (!known || !isOwn(c, known)) throw new OrchestratorError(404, `Job ${id} not found in the database`);
      return read(id, known.job_id);
    },

    /** As it stands now. */
    again: (found: NumberedRecord): Promise<NumberedRecord> => read(found.id, found.job?.job_id ?? ''),
  };
};
