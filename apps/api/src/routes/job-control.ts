import { AppError, jobSpecFields } from '@berth/domain';
import type { LogStore, Quotas } from '@berth/store';
import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi';
import { addRoute } from '../add-route.js';
import { readOwnJob } from '../auth.js';
import { toProblems } from '../errors.js';
import { createJobAnswers, toAcceptedAnswer } from '../job-answer.js';
import type { JobActions } from '../job-control.js';
import type { Jobs } from '../jobs.js';
import { readJsonBody, refuseBody } from '../request-body.js';
import { readIdempotencyKey } from '../request-input.js';
import { idempotencyHeaders, jobIdParams, jobSchema } from '../schemas/job.js';
import { commonProblems, problem } from '../schemas/problem.js';

const job = (description: string) => ({ description, content: { 'application/json': { schema: jobSchema } } });

const tooLate = {
  ...commonProblems,
  404: problem('There is no such job'),
  409: problem('The job is not in a state for this; `state` says which it is in'),
};

const holdRoute = createRoute({
  method: 'post',
  path: '/v1/jobs/{id}/hold',
  summary: 'Keep a pending job from being started; twice is once',
  request: { params: jobIdParams },
  responses: { 200: job('The job, held'), ...tooLate },
});

const releaseRoute = createRoute({
  method: 'post',
  path: '/v1/jobs/{id}/release',
  summary: 'Release a job from its hold; twice is once',
  request: { params: jobIdParams },
  responses: { 200: job('The job, which waits for a machine again'), ...tooLate },
});

const changeBodySchema = z.strictObject({ priority: jobSpecFields.shape.priority.unwrap() });

const changeRoute = createRoute({
  method: 'patch',
  path: '/v1/jobs/{id}',
  summary: 'Change the priority of a pending job',
  request: {
    params: jobIdParams,
    body: { required: true, content: { 'application/json': { schema: changeBodySchema.openapi('JobChange') } } },
  },
  responses: {
    200: job('The job; its `spec` stays as it was submitted'),
    ...tooLate,
    415: problem('The body is not JSON'),
  },
});

const requeueRoute = createRoute({
  method: 'post',
  path: '/v1/jobs/{id}/requeue',
  summary: 'Run a finished job once more: a new job with the same spec',
  request: { params: jobIdParams, headers: idempotencyHeaders },
  responses: {
    201: {
      ...job('The new job; `requeued_from` names the old one'),
      headers: { Location: { schema: { type: 'string' }, description: 'Where the new job is.' } },
    },
    200: {
      ...job('The job that this Idempotency-Key made before'),
      headers: { 'Idempotent-Replayed': { schema: { type: 'string' }, description: '`true`' } },
    },
    ...tooLate,
    422: problem('No class holds it any more, or the Idempotency-Key was used with another body'),
    429: problem('There are too many pending jobs; see Retry-After'),
  },
});

interface ControlRoutesOptions {
  jobs: Pick<Jobs, 'read'>;
  actions: JobActions;
  logs: LogStore;
  quotas: Quotas;
  now: () => number;
}

const parsePriority = (body: unknown): number => {
  const parsed = changeBodySchema.safeParse(body);
  if (parsed.success) return parsed.data.priority;
  throw new AppError('invalid_request', 'Only the priority of a job can be changed: send {"priority": 0 to 100}.', {
    problems: toProblems(parsed.error),
  });
};

export const addJobControlRoutes = (app: OpenAPIHono, options: ControlRoutesOptions): void => {
  const { jobs, actions, now } = options;
  const { answer } = createJobAnswers(options);

  addRoute(app, holdRoute, async (c) => {
    await refuseBody(c);
    const { job_id } = await readOwnJob(c, jobs);
    return c.json(await answer(await actions.hold(job_id)), 200);
  });

  addRoute(app, releaseRoute, async (c) => {
    await refuseBody(c);
    const { job_id } = await readOwnJob(c, jobs);
    return c.json(await answer(await actions.release(job_id)), 200);
  });

  addRoute(app, changeRoute, async (c) => {
    const { job_id } = await readOwnJob(c, jobs);
    const priority = parsePriority(await readJsonBody(c));
    return c.json(await answer(await actions.reprioritize(job_id, priority)), 200);
  });

  addRoute(app, requeueRoute, async (c) => {
    const idempotency_key = readIdempotencyKey(c);
    await refuseBody(c);
    const made = await actions.requeue(await readOwnJob(c, jobs), idempotency_key);
    if (made.replayed) return c.json(await answer(made.job), 200, { 'Idempotent-Replayed': 'true' });
    return c.json(toAcceptedAnswer(made.job, now()), 201, { Location: `/v1/jobs/${made.job.job_id}` });
  });
};
