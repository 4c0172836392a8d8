import { AppError } from '@berth/domain';
import type { JobList, LogStore } from '@berth/store';
import { createRoute, type OpenAPIHono } from '@hono/zod-openapi';
import type { Context } from 'hono';
import { addRoute } from '../add-route.js';
import { NO_TAILS, readTails, toJobAnswer, toJobRow } from '../job-answer.js';
import type { Jobs } from '../jobs.js';
import { parseCursor, toCursor } from '../list-cursor.js';
import { readJsonBody } from '../request-body.js';
import { readIdempotencyKey, readJobId } from '../request-input.js';
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

const submitRoute = createRoute({
  method: 'post',
  path: '/v1/jobs',
  summary: 'Submit a job',
  request: {
    headers: idempotencyHeaders,
    body: { required: true, content: { 'application/json': { schema: submitBodySchema } } },
  },
  responses: {
    201: {
      ...job('The job, accepted and durable'),
      headers: { Location: { schema: { type: 'string' }, description: 'Where the job is.' } },
    },
    200: {
      ...job('The job that this Idempotency-Key made before'),
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
  list: JobList;
  logs: LogStore;
  waiters: Waiters;
  /** Ends every wait. */
  shutdown: AbortSignal;
  now: () => number;
}

export const addJobRoutes = (app: OpenAPIHono, options: JobRoutesOptions): void => {
  const { jobs, list, logs, waiters, shutdown, now } = options;

  addRoute(app, submitRoute, async (c) => {
    const idempotency_key = readIdempotencyKey(c);
    const submitted = await jobs.submit(await readJsonBody(c), { idempotency_key });
    if (submitted.replayed) {
      const tails = await readTails(logs, submitted.job);
      return c.json(toJobAnswer(submitted.job, tails, now()), 200, { 'Idempotent-Replayed': 'true' });
    }
    return c.json(toJobAnswer(submitted.job, NO_TAILS, now()), 201, { Location: `/v1/jobs/${submitted.job.job_id}` });
  });

  const waitForJob = async (c: Context, job_id: string, seconds: number) => {
    const { signal, release } = linkSignals(c.req.raw.signal, shutdown);
    return waiters.waitForEnd(job_id, { timeout_ms: seconds * 1000, signal }).finally(release);
  };

  addRoute(app, readRoute, async (c, { wait }) => {
    const id = readJobId(c);
    const found = wait > 0 ? await waitForJob(c, id, wait) : await jobs.read(id);
    return c.json(toJobAnswer(found, await readTails(logs, found), now()), 200);
  });

  addRoute(app, listRoute, async (c, { limit, cursor, state, label, name }) => {
    const after = cursor === undefined ? undefined : parseCursor(cursor);
    const filter = { ...(state ? { state } : {}), ...(label ? { label } : {}), ...(name ? { name } : {}) };
    const page = await list.list(filter, limit, after);
    const next_cursor = page.next === null ? null : toCursor(page.next);
    return c.json({ jobs: page.jobs.map((found) => toJobRow(found, now())), next_cursor }, 200);
  });

  addRoute(app, cancelRoute, async (c) => {
    await refuseBody(c);
    const cancelled = await jobs.cancel(readJobId(c));
    return c.json(toJobAnswer(cancelled, await readTails(logs, cancelled), now()), 200);
  });
};

/** A cancel has no options: whoever sends some expects something that will not happen. */
const refuseBody = async (c: Context): Promise<void> => {
  const length = c.req.header('content-length');
  if ((length === undefined || length === '0') && c.req.header('transfer-encoding') === undefined) return;
  const body = await readJsonBody(c);
  if (typeof body === 'object' && body !== null && Object.keys(body).length === 0) return;
  throw new AppError('invalid_request', 'A cancel takes no options. Send no body, or {}.');
};
