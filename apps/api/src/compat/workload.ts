import { AppError, checkInteger, type RequestDetail } from '@berth/domain';
import type { JobRecord } from '@berth/store';
import type { Context } from 'hono';
import { readPrincipal, toListedUser } from '../auth.js';
import type { Jobs } from '../jobs.js';
import { KeptFormatError, unprocessable } from './fastapi-errors.js';
import { toWorkloadJob, toWorkloadStatus, WORKLOAD_STATUSES, type WorkloadStatus } from './workload-job.js';
import type { ReadWorkloadJobs } from './workload-list.js';
import { parseWorkloadRequest, toWorkloadSpec } from './workload-request.js';

const MAX_LIMIT = 1_000;
const DEFAULT_LIMIT = 100;

/** Of a parameter that is given twice the last one holds. */
export const readParameter = (c: Context, name: string): string | undefined => c.req.queries(name)?.at(-1);

const readStatus = (c: Context): WorkloadStatus | undefined => {
  const input = readParameter(c, 'status_filter');
  const known = WORKLOAD_STATUSES.find((status) => status === input);
  if (known !== undefined || input === undefined) return known;
  const expected = "'pending', 'running', 'succeeded' or 'failed'";
  const msg = `Input should be ${expected}`;
  const detail: RequestDetail = { type: 'enum', loc: ['query', 'status_filter'], msg, input, ctx: { expected } };
  throw unprocessable([detail]);
};

const readLimit = (c: Context): number => {
  const { value, details } = checkInteger(readParameter(c, 'limit') ?? DEFAULT_LIMIT, ['query', 'limit'], {});
  if (details) throw unprocessable(details);
  if (value >= 1 && value <= MAX_LIMIT) return value;
  throw new KeptFormatError(400, `Limit must be between 1 and ${MAX_LIMIT}`);
};

const toAbortRefusal = (job: JobRecord): KeptFormatError =>
  new KeptFormatError(
    400,
    `Cannot abort job in status: ${toWorkloadStatus(job)}. Only pending or running jobs can be aborted.`,
  );

interface WorkloadOptions {
  jobs: Jobs;
  readJobs: ReadWorkloadJobs;
}

/** The workload runner's format: a container job in, its whole record back. */
export const createWorkload = ({ jobs, readJobs }: WorkloadOptions) => ({
  async submit(c: Context, body: unknown): Promise<Response> {
    const { value: request, details } = parseWorkloadRequest(body);
    if (details) throw unprocessable(details);
    const { job } = await jobs.submit(toWorkloadSpec(request), {
      format: 'workload',
      request: { ...request },
      user: readPrincipal(c).user,
      queue_timeout_seconds: request.allocation_timeout,
    });
    return c.json(toWorkloadJob(job), 201);
  },

  answer: (c: Context, job: JobRecord): Response => c.json(toWorkloadJob(job), 200),

  async list(c: Context): Promise<Response> {
    const found = await readJobs(readStatus(c), readLimit(c), toListedUser(c, undefined));
    return c.json(found.map(toWorkloadJob), 200);
  },

  async abort(c: Context, job: JobRecord): Promise<Response> {
    if (toWorkloadStatus(job) === 'succeeded' || toWorkloadStatus(job) === 'failed') throw toAbortRefusal(job);
    try {
      return c.json(toWorkloadJob(await jobs.cancel(job.job_id)), 200);
    } catch (error) {
      if (error instanceof AppError && error.code === 'job_finished') throw toAbortRefusal(await jobs.read(job.job_id));
      throw error;
    }
  },
});

export type Workload = ReturnType<typeof createWorkload>;
