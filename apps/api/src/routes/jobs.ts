import { isTerminal } from '@berth/domain';
import type { JobFilter, JobList, LogStore, Quotas } from '@berth/store';
import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi';
import type { Context } from 'hono';
import { addRoute } from '../add-route.js';
import { toArrayAnswer } from '../array-answer.js';
import { type Arrays, asksForArray } from '../arrays.js';
import { readOwnJob, readPrincipal, toListedUser } from '../auth.js';
import { createJobAnswers, toAcceptedAnswer } from '../job-answer.js';
import type { Jobs, Submission } from '../jobs.js';
import { parseCursor, toCursor } from '../list-cursor.js';
import { readJsonBody, refuseBody } from '../request-body.js';
import { readIdempotencyKey } from '../request-input.js';
import { arraySchema } from '../schemas/array.js';
import {
  idempotencyHeaders,
  jobIdParams,
  jobListSchema,
  jobSchema,
  listQuerySchema,
  submitBodySchema,
  waitQuerySchema,
} from '../schemas/job.js';
import { commonProblems, problem } from '../schemas/problem.js';
import { linkSignals } from '../stop-signal.js';
import type { Waiters } from '../waiters.js';

const job = (description: string) => ({ description, content: { 'application/json': { schema: jobSchema } } });

const jobOrArray = (description: string) => ({
  description,
  content: { 'application/json': { schema: z.union([jobSchema, arraySchema]) } },
});

const submitRoute = createRoute({
  method: 'post',
  path: '/v1/jobs',
  summary: 'Submit a job, or with `array` many',
  request: {
    headers: idempotencyHeaders,
    body: { required: true, content: { 'application/json': { schema: submitBodySchema } } },
  },
  responses: {
    201: {
      ...jobOrArray('The job, accepted and durable; or the array'),
      headers: { Location: { schema: { type: 'string' }, description: 'Where it is.' } },
    },
    200: {
      ...jobOrArray('The job or array that this Idempotency-Key made before'),
      headers: { 'Idempotent-Replayed': { schema: { type: 'string' }, description: '`true`' } },
    },
    ...commonProblems,
    413: problem('The body is larger than 256 KiB'),
    415: problem('The body is not JSON'),
    422: problem('No class holds it, its registry is not allowed, or the Idempotency-Key was used with another body'),
  },
});

const readRoute = createRoute({
  method: 'get',
  path: '/v1/jobs/{id}',
  summary: 'Read a job; with `wait`, once it has ended or the seconds are up',
  request: { params: jobIdParams, query: waitQuerySchema },
  responses: { 200: job('The job'), ...commonProblems, 404: problem('There is no such job') },
});

const listRoute = createRoute({
  method: 'get',
  path: '/v1/jobs',
  summary: 'List jobs, newest first',
  request: { query: listQuerySchema },
  responses: {
    200: { description: 'A page', content: { 'application/json': { schema: jobListSchema } } },
    ...commonProblems,
  },
});

const cancelRoute = createRoute({
  method: 'post',
  path: '/v1/jobs/{id}/cancel',
  summary: 'Cancel a job; twice is once',
  request: { params: jobIdParams },
  responses: {
    200: job('The job; a running one ends within its grace time'),
    ...commonProblems,
    404: problem('There is no such job'),
    409: problem('The job has finished; `state` says how'),
  },
});

interface JobRoutesOptions {
  jobs: Jobs;
  arrays: Arrays;
  list: JobList;
  logs: LogStore;
  quotas: Quotas;
  waiters: Waiters;
  /** Ends every wait. */
  shutdown: AbortSignal;
  now: () => number;
}

export const addJobRoutes = (app: OpenAPIHono, options: JobRoutesOptions): void => {
  const { jobs, arrays, list, waiters, shutdown, now } = options;
  const answers = createJobAnswers(options);

  const submitArray = async (c: Context, body: unknown, how: Submission) => {
    const { array, replayed } = await arrays.submit(body, how);
    if (replayed) return c.json(toArrayAnswer(array), 200, { 'Idempotent-Replayed': 'true' });
    return c.json(toArrayAnswer(array), 201, { Location: `/v1/arrays/${array.array_id}` });
  };

  addRoute(app, submitRoute, async (c) => {
    const idempotency_key = readIdempotencyKey(c);
    const body = await readJsonBody(c);
    const how = { idempotency_key, user: readPrincipal(c).user };
    if (asksForArray(body)) return submitArray(c, body, how);
    const submitted = await jobs.submit(body, how);
    if (submitted.replayed) {
      return c.json(await answers.answer(submitted.job), 200, { 'Idempotent-Replayed': 'true' });
    }
    return c.json(toAcceptedAnswer(submitted.job, now()), 201, { Location: `/v1/jobs/${submitted.job.job_id}` });
  });

  const waitForJob = async (c: Context, job_id: string, seconds: number) => {
    const { signal, release } = linkSignals(c.req.raw.signal, shutdown);
    return waiters.waitForEnd(job_id, { timeout_ms: seconds * 1000, signal }).finally(release);
  };

  addRoute(app, readRoute, async (c, { wait }) => {
    const now_is = await readOwnJob(c, jobs);
    const found = wait > 0 && !isTerminal(now_is.state) ? await waitForJob(c, now_is.job_id, wait) : now_is;
    return c.json(await answers.answer(found), 200);
  });

  addRoute(app, listRoute, async (c, { limit, cursor, user: asked, ...asked_for }) => {
    const user = toListedUser(c, asked);
    const after = cursor === undefined ? undefined : parseCursor(cursor);
    const given = Object.entries({ ...asked_for, user }).filter(([, value]) => value !== undefined);
    const filter: JobFilter = Object.fromEntries(given);
    const page = await list.list(filter, limit, after);
    const next_cursor = page.next === null ? null : toCursor(page.next);
    return c.json({ jobs: await answers.list(page.jobs), next_cursor }, 200);
  });

  addRoute(app, cancelRoute, async (c) => {
    await refuseBody(c);
    const { job_id } = await readOwnJob(c, jobs);
    const cancelled = await jobs.cancel(job_id);
    return c.json(await answers.answer(cancelled), 200);
  });
};
