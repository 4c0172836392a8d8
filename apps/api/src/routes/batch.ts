import { AppError } from '@berth/domain';
import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi';
import { addRoute } from '../add-route.js';
import { readPrincipal } from '../auth.js';
import { submitBatch } from '../batch.js';
import { type ProblemDocument, toAppError, toProblem } from '../errors.js';
import type { Jobs, Submitted } from '../jobs.js';
import { MAX_BATCH_BODY_BYTES, readJsonBody } from '../request-body.js';
import { readIdempotencyKey } from '../request-input.js';
import { jobStateSchema, submitBodySchema } from '../schemas/job.js';
import { commonProblems, problem, problemSchema } from '../schemas/problem.js';

const MAX_JOBS = 10_000;

const acceptedSchema = z.object({
  status: z.literal(201),
  job: z.object({ job_id: z.string(), state: jobStateSchema, class: z.string(), created_at: z.string() }),
});
const refusedSchema = z.object({ status: z.number().int(), error: problemSchema });

const batchRoute = createRoute({
  method: 'post',
  path: '/v1/jobs:batch',
  summary: 'Submit up to 10,000 jobs, also such as run after each other; each is accepted or refused on its own',
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
    413: problem('More than 10,000 jobs, or more than 16 MiB'),
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

const toResult = (one: PromiseSettledResult<Submitted>): Result =>
  one.status === 'fulfilled' ? toAccepted(one.value) : toRefused(one.reason);

/** The envelope only: each job in it is checked by itself, so that one bad one refuses none of the others. */
const parseBatch = (body: unknown): unknown[] => {
  const parsed = z.strictObject({ jobs: z.array(z.unknown()) }).safeParse(body);
  if (!parsed.success) {
    throw new AppError('invalid_request', 'Send {"jobs": […]} and nothing else.', {
      problems: [{ path: '$.jobs', message: 'must be a list of jobs, and the only field' }],
    });
  }
  if (parsed.data.jobs.length > MAX_JOBS)
    throw new AppError('body_too_large', `Send at most ${MAX_JOBS} jobs at a time.`);
  return parsed.data.jobs;
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
    const inputs = parseBatch(await readJsonBody(c, MAX_BATCH_BODY_BYTES));
    await jobs.admit();
    const { results, fault } = await submitBatch(jobs, { inputs, user: readPrincipal(c).user }, toResult);
    if (fault !== undefined) {
      if (results.every(({ status }) => status !== 201)) throw fault;
      onError(fault);
    }
    while (results.length < inputs.length) results.push(toRefused(UNTRIED));
    return c.json({ results } as never, 200);
  });
};
