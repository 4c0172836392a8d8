import { EMPTY_COMMAND, isBlank, isTerminal, parseCommandRequest, toCommandSpec } from '@berth/domain';
import type { JobRecord, LogStore } from '@berth/store';
import type { Context } from 'hono';
import { readPrincipal } from '../auth.js';
import type { Jobs } from '../jobs.js';
import { toTailText } from '../log-text.js';
import { type JobOutput, toCoordinatorJob, toCoordinatorReceipt } from './coordinator-job.js';
import { KeptFormatError, unprocessable } from './fastapi-errors.js';

/** The format carries the whole output inline: what the worker kept, and of a larger log this much of each stream's end. */
const MAX_OUTPUT_BYTES = 12 * 1024 * 1024;

interface CoordinatorOptions {
  jobs: Jobs;
  logs: LogStore;
}

/** The coordinator's format: a shell command in, exit code and output in the job itself. */
export const createCoordinator = ({ jobs, logs }: CoordinatorOptions) => {
  const readOutput = async (job: JobRecord): Promise<JobOutput> => {
    if (job.epoch === 0) return { stdout: '', stderr: '' };
    const { stdout, stderr } = await logs.readTails(job.job_id, job.attempt, MAX_OUTPUT_BYTES);
    return { stdout: toTailText(stdout.bytes, stdout.truncated), stderr: toTailText(stderr.bytes, stderr.truncated) };
  };

  return {
    async submit(c: Context, body: unknown): Promise<Response> {
      const { value: request, details } = parseCommandRequest(body);
      if (details) throw unprocessable(details);
      if (isBlank(request.command)) throw new KeptFormatError(400, EMPTY_COMMAND);
      const { job } = await jobs.submit(toCommandSpec(request), {
        format: 'coordinator',
        request: { ...request },
        user: readPrincipal(c).user,
      });
      return c.json(toCoordinatorReceipt(job), 200);
    },

    async answer(c: Context, job: JobRecord): Promise<Response> {
      return c.json(toCoordinatorJob(job, isTerminal(job.state) ? await readOutput(job) : null), 200);
    },
  };
};

export type Coordinator = ReturnType<typeof createCoordinator>;
