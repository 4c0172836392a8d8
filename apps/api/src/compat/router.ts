import type { JobRecord, Store } from '@berth/store';
import type { OpenAPIHono } from '@hono/zod-openapi';
import type { Context } from 'hono';
import type { Logger } from 'pino';
import { isOwn, requireOperator } from '../auth.js';
import type { Jobs } from '../jobs.js';
import { type Coordinator, createCoordinator } from './coordinator.js';
import { answerAsFastApi, KeptFormatError, methodNotAllowed, toFastApiResponse } from './fastapi-errors.js';
import { toOrchestratorResponse } from './orchestrator-errors.js';
import { ORCHESTRATOR_PATH } from './orchestrator-routes.js';
import { readKeptBody } from './read-body.js';
import { parseUuid, requireUuid } from './uuid-path.js';
import { createWorkload, type Workload } from './workload.js';
import { createWorkloadList } from './workload-list.js';
import { createWorkloadScheduler, type SchedulerOptions } from './workload-scheduler.js';

export interface KeptFormatsOptions extends SchedulerOptions {
  store: Store;
  jobs: Jobs;
  log: Logger;
}

/** The two bodies of `POST /jobs` share no shape: an image or a list of arguments is the workload runner's. */
export const isWorkloadBody = (body: unknown): boolean =>
  typeof body === 'object' &&
  body !== null &&
  ('docker_image' in body || ('command' in body && Array.isArray(body.command)));

/** Where these formats stand. */
const KEPT_PATH = /^\/(?:jobs|executors|stats|schedule|cleanup)(?:\/|$)/;

/** A refusal that comes before any route, in the words of these formats. Undefined: the path is none of theirs. */
export const toKeptRefusal = (log: Logger, c: Context, error: unknown): Response | undefined => {
  if (ORCHESTRATOR_PATH.test(c.req.path)) return toOrchestratorResponse(log, c, error);
  return KEPT_PATH.test(c.req.path) ? toFastApiResponse(log, c, error) : undefined;
};

const notFound = (job_id: string): KeptFormatError => new KeptFormatError(404, `Job ${job_id} not found`);

/**
 * The wire formats of two systems that Berth grew from, at the root, over the same functions as /v1. Submissions are told apart by
 * their body, and a job is answered in the format that it came in by; one of /v1 is not to be seen here.
 */
export const addKeptFormats = (app: OpenAPIHono, options: KeptFormatsOptions): void => {
  const { store, jobs, log } = options;
  const coordinator = createCoordinator({ jobs, logs: store.logs });
  const workload = createWorkload({ jobs, readJobs: createWorkloadList(store.list) });
  const scheduler = createWorkloadScheduler(options);
  const add = (method: 'get' | 'post', path: string, handler: (c: Context) => Promise<Response>): void => {
    app[method](path, answerAsFastApi(log, handler));
    app.all(path, refuse(log, method.toUpperCase()));
  };

  app.post(
    '/jobs',
    answerAsFastApi(log, async (c) => {
      const body = await readKeptBody(c);
      return isWorkloadBody(body) ? workload.submit(c, body) : coordinator.submit(c, body);
    }),
  );
  app.get('/jobs', answerAsFastApi(log, workload.list));
  app.all('/jobs', refuse(log, 'GET, POST'));
  addJobRoutes(app, { log, readJob: store.jobs.read, coordinator, workload });
  add('get', '/executors', scheduler.executors);
  add('get', '/stats', scheduler.stats);
  add('post', '/schedule', forOperators(scheduler.schedule));
  add('post', '/cleanup', forOperators(scheduler.cleanup));
};

type KeptHandler = (c: Context) => Promise<Response>;

const forOperators =
  (handler: KeptHandler): KeptHandler =>
  async (c) => {
    requireOperator(c);
    return handler(c);
  };

const refuse = (log: Logger, allow: string) =>
  answerAsFastApi(log, () => {
    throw methodNotAllowed(allow);
  });

interface JobRoutesOptions {
  log: Logger;
  readJob: (job_id: string) => Promise<JobRecord | null>;
  coordinator: Coordinator;
  workload: Workload;
}

const addJobRoutes = (app: OpenAPIHono, { log, readJob, coordinator, workload }: JobRoutesOptions): void => {
  /** Another user's job is none. */
  const readOwn = async (c: Context, job_id: string): Promise<JobRecord | null> => {
    const job = await readJob(job_id);
    return job && isOwn(c, job) ? job : null;
  };
  /** Nobody knows which format a job that is not there came in by; the coordinator's ids were any text, the other's UUIDs. */
  const read = async (c: Context): Promise<Response> => {
    const job_id = parseUuid(c.req.param('id') ?? '');
    if (job_id === undefined) throw new KeptFormatError(404, 'Job not found');
    const job = await readOwn(c, job_id);
    if (job?.format === 'coordinator') return coordinator.answer(c, job);
    if (job?.format === 'workload') return workload.answer(c, job);
    throw notFound(job_id);
  };
  const abort = async (c: Context): Promise<Response> => {
    const job_id = requireUuid(c.req.param('id') ?? '');
    const job = await readOwn(c, job_id);
    if (job?.format === 'coordinator') throw methodNotAllowed('GET');
    if (job?.format === 'workload') return workload.abort(c, job);
    throw notFound(job_id);
  };
  app.get('/jobs/:id', answerAsFastApi(log, read));
  app.delete('/jobs/:id', answerAsFastApi(log, abort));
  app.all('/jobs/:id', refuse(log, 'DELETE, GET'));
};
