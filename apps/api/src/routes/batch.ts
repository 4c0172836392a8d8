import { AppError, type JobSpecInput } from '@berth/domain';
import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi';
import { addRoute } from '../add-route.js';
import { type ProblemDocument, toAppError, toProblem } from '../errors.js';
import type { Jobs, Submitted } from '../jobs.js';
import { MAX_BATCH_BODY_BYTES, readJsonBody } from '../request-body.js';
import { readIdempotencyKey } from '../request-input.js';
import { jobStateSchema, submitBodySchema } from '../schemas/job.js';
import { commonProblems, problem, problemSchema } from '../schemas/problem.js';

const MAX_JOBS = 1_000;
/** So many are on their way to Redis at a time: each must be answered within a request's patience. */
const WINDOW = 250;

const acceptedSchema = z.object({
  status: z.literal(201),
  job: z.object({ job_id: z.string(), state: jobStateSchema, class: z.string(), created_at: z.string() }),
});
const refusedSchema = z.object({ status: z.number().int(), error: problemSchema });

const batchRoute = createRoute({
  method: 'post',
  path: '/v1/jobs:batch',
  summary: 'Submit up to 1,000 jobs; each is accepted or refused on its own',
  request: {
    body: {
      required: true,
      content: { 'application/json': { schema: z.strictObject({ jobs: z.array(submitBodySchema).max(MAX_JOBS) }) } },
    },
  },
  responses: {
    200: {
      description: 'What became of each, in order',
      content: {
        'application/json': { schema: z.object({ results: z.array(z.union([acceptedSchema, refusedSchema])) }) },
      },
    },
    ...commonProblems,
    413: problem('More than 1,000 jobs, or more than 8 MiB'),
    415: problem('The body is not JSON'),
  },
});

type Result = z.infer<typeof acceptedSchema> | { status: number; error: ProblemDocument };

const toAccepted = ({ job }: Submitted): Result => ({
  status: 201,
  job: { job_id: job.job_id, state: job.state, class: job.class, created_at: new Date(job.created_at).toISOString() },
});

const toRefused = (err: unknown): Result => {
  const error = toProblem(toAppError(err));
  return { status: error.status, error };
};

/** The envelope only: each job in it is checked by itself, so that one bad one refuses none of the others. */
const parseBatch = (body: unknown): JobSpecInput[] => {
  const parsed = z.strictObject({ jobs: z.array(z.unknown()) }).safeParse(body);
  if (!parsed.success) {
    throw new AppError('invalid_request', 'Send {"jobs": […]} and nothing else.', {
      problems: [{ path: '$.jobs', message: 'must be a list of jobs, and the only field' }],
    });
  }
  if (parsed.data.jobs.length > MAX_JOBS)
    throw new AppError('body_too_large', `Send at most ${MAX_JOBS} jobs at a time.`);
  return parsed.data.jobs as JobSpecInput[];
};

type Settled = PromiseSettledResult<Submitted>;

const isUnavailable = (one: Settled): boolean =>
  one.status === 'rejected' && toAppError(one.reason).code === 'unavailable';

/** In windows, up to the first whose jobs Redis did not answer for: the rest would wait in vain as well. */
const submitAll = async (jobs: Jobs, specs: JobSpecInput[]): Promise<Settled[]> => {
  const settled: Settled[] = [];
  for (let at = 0; at < specs.length && !settled.some(isUnavailable); at += WINDOW) {
    const window = specs.slice(at, at + WINDOW);
    settled.push(...(await Promise.allSettled(window.map((spec) => jobs.submit(spec)))));
  }
  return settled;
};

const UNTRIED = new AppError(
  'unavailable',
  'The jobs before it were not accepted, so this one was not tried. Submit it again.',
);

interface BatchOptions {
  jobs: Jobs;
  /** Hears of what is not the caller's fault. */
  onError: (err: unknown) => void;
}

export const addBatchRoute = (app: OpenAPIHono, { jobs, onError }: BatchOptions): void => {
  addRoute(app, batchRoute, async (c) => {
    if (readIdempotencyKey(c) !== undefined) {
      throw new AppError('invalid_request', 'A batch takes no Idempotency-Key. Submit such jobs one by one.');
    }
    const specs = parseBatch(await readJsonBody(c, MAX_BATCH_BODY_BYTES));
    await jobs.admit();
    const settled = await submitAll(jobs, specs);
    const fault = settled.find((one) => one.status === 'rejected' && !(one.reason instanceof AppError));
    if (fault?.status === 'rejected') {
      if (settled.every((one) => one.status === 'rejected')) throw fault.reason;
      onError(fault.reason);
    }
    const results = specs.map((_, i) => {
      const one = settled[i];
      return one?.status === 'fulfilled' ? toAccepted(one.value) : toRefused(one?.reason ?? UNTRIED);
    });
    return c.json({ results } as never, 200);
  });
};
