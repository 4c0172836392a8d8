import type { ResourceClass, Service } from '@berth/domain';
import type { ApiMetrics } from '@berth/metrics';
import type { Producer } from '@berth/queue';
import type { EventFeed, FileStore, Store } from '@berth/store';
import { OpenAPIHono } from '@hono/zod-openapi';
import type { Context } from 'hono';
import { routePath } from 'hono/route';
import type { Logger } from 'pino';
import type { Admission } from './admission.js';
import type { Arrays } from './arrays.js';
import { createArtifactReader } from './artifacts/artifact-reader.js';
import { createCollectNow } from './artifacts/collect-now.js';
import { authenticate } from './auth.js';
import { createStreams } from './byte-stream.js';
import { addOrchestrator } from './compat/orchestrator-routes.js';
import { createAnswerZip } from './compat/orchestrator-zip.js';
import { addKeptFormats, toKeptRefusal } from './compat/router.js';
import { addDashboard } from './dashboard.js';
import { createErrorHandler, toProblemResponse } from './errors.js';
import { createExplainer } from './explain.js';
import type { JobActions } from './job-control.js';
import type { Jobs } from './jobs.js';
import type { LogReader } from './log-reader.js';
import { createSignatureCheck } from './object-auth.js';
import { createNotFound, guardRequests } from './request-guard.js';
import type { Sweep } from './retention/sweep.js';
import { addArrayRoutes } from './routes/arrays.js';
import { addArtifactRoutes } from './routes/artifacts.js';
import { addBatchRoute } from './routes/batch.js';
import { addDocsRoutes } from './routes/docs.js';
import { addEventRoutes } from './routes/events.js';
import { addExplainRoutes } from './routes/explain.js';
import { addFairShareRoutes } from './routes/fair-share.js';
import { addFileRoutes } from './routes/files.js';
import { addHealthRoutes } from './routes/health.js';
import { addJobControlRoutes } from './routes/job-control.js';
import { addJobRoutes } from './routes/jobs.js';
import { addLogRoutes } from './routes/logs.js';
import { addMetricsRoute } from './routes/metrics.js';
import { addNodeRoutes } from './routes/nodes.js';
import { addObjectRoutes } from './routes/objects.js';
import { addQuotaRoutes } from './routes/quotas.js';
import { addRetentionRoutes } from './routes/retention.js';
import { addScheduleRoutes } from './routes/schedules.js';
import { addStatsRoutes } from './routes/stats.js';
import { addUsageRoute } from './routes/usage.js';
import { addUsageReportRoute } from './routes/usage-report.js';
import type { Schedules } from './schedules.js';
import { addSignIn, toSignIn } from './sign-in.js';
import { createUploadIntake } from './uploads.js';
import type { ReadUsageReport } from './usage-report.js';
import type { Waiters } from './waiters.js';

/** What the routes are made of. */
export interface AppParts {
  store: Store;
  /** Uploads, artifacts and log segments. */
  files: FileStore;
  /** Of one upload. */
  maxFileBytes: number;
  /** Of all uploads of a user. Undefined: no limit. */
  uploadQuotaBytes: number | undefined;
  jobs: Jobs;
  arrays: Arrays;
  actions: JobActions;
  admission: Pick<Admission, 'refusals'>;
  waiters: Waiters;
  reader: LogReader;
  feed: EventFeed;
  schedules: Schedules;
  readUsageReport: ReadUsageReport;
  sweep: Sweep;
  /** Where nobody has said how long something is kept. */
  retentionSeconds: number;
  /** Makes the relay look at every class's backlog. */
  kick: () => void;
  /** Fails jobs that have waited longer than they may; returns how many. */
  failOverdue: () => Promise<number>;
  metrics: ApiMetrics;
  producer: Pick<Producer, 'queues'>;
  classes: ResourceClass[];
  /** Of the job orchestrator's format. */
  services: ReadonlyMap<string, Service>;
  maxAgeSeconds: number;
  loopbackOnly: boolean;
  /** Whoever reaches the port is the local user until the first key is made. */
  openWithoutKeys: boolean;
  /** Ends waits and streams. */
  shutdown: AbortSignal;
  now: () => number;
  log: Logger;
}

/** The table of contents. */
export const createApp = (parts: AppParts): OpenAPIHono => {
  const { store, jobs, waiters, shutdown, now, log } = parts;
  const app = new OpenAPIHono();
  addRequestMetrics(app, parts.metrics);
  app.use(guardRequests(parts.loopbackOnly, (c, error) => toKeptRefusal(log, c, error)));
  const toRefusal = (c: Context, error: unknown) => toKeptRefusal(log, c, error) ?? toSignIn(c, error);
  const checkSignature = createSignatureCheck(store.readFileSecret);
  const { openWithoutKeys, files } = parts;
  app.use(authenticate({ keys: store.apiKeys, checkSignature, openWithoutKeys, toRefusal }));
  addErrorAnswers(app, log);

  const streams = createStreams(shutdown, log);
  addJobRoutes(app, {
    jobs,
    arrays: parts.arrays,
    list: store.list,
    logs: store.logs,
    quotas: store.quotas,
    waiters,
    shutdown,
    now,
  });
  addJobControlRoutes(app, { jobs, actions: parts.actions, logs: store.logs, quotas: store.quotas, now });
  addExplainRoutes(app, { jobs, explainer: createExplainer({ store, classes: parts.classes }), now });
  addBatchRoute(app, { jobs, onError: createErrorHandler(log) });
  addArrayRoutes(app, { arrays: parts.arrays, list: store.arrayList });
  addLogRoutes(app, { jobs, logs: store.logs, reader: parts.reader, streams });
  const intake = createUploadIntake({ ...parts, uploads: store.uploads });
  addFileRoutes(app, { files, uploads: store.uploads, intake, streams });
  addObjectRoutes(app, { files, streams });
  const artifacts = createArtifactReader({ files, collectNow: createCollectNow(store.partials) });
  addArtifactRoutes(app, { jobs, artifacts, streams });
  addEventRoutes(app, { jobs, store: store.jobs, waiters, streams });
  addNodeRoutes(app, { workers: store.workers, drains: store.drains });
  addUsageRoute(app, { jobs });
  addUsageReportRoute(app, { readUsageReport: parts.readUsageReport, now });
  addQuotaRoutes(app, { quotas: store.quotas, classes: parts.classes });
  addRetentionRoutes(app, { ...parts, retention: store.retention });
  addFairShareRoutes(app, { shares: store.shares });
  addStatsRoutes(app, { list: store.list, classes: parts.classes, readTotals: store.readTotals });
  addScheduleRoutes(app, { schedules: parts.schedules, store: store.schedules, jobs, now });
  addHealthRoutes(app, { ping: store.ping, admission: parts.admission, shutdown });
  addMetricsRoute(app, { metrics: parts.metrics, list: store.list, readTotals: store.readTotals });
  addDocsRoutes(app);
  addSignIn(app, store.apiKeys);
  addDashboard(app, parts.producer.queues);
  addKeptFormats(app, parts);
  const zip = createAnswerZip({ artifacts, streams });
  addOrchestrator(app, { ...parts, numbers: store.numbers, uploads: store.uploads, zip });
  return app;
};

const addRequestMetrics = (app: OpenAPIHono, metrics: ApiMetrics): void => {
  app.use(async (c, next) => {
    const began = performance.now();
    await next();
    const route = routePath(c, -1);
    const seconds = (performance.now() - began) / 1000;
    metrics.requestAnswered({
      method: c.req.method,
      route: route.includes('*') ? 'none' : route,
      status: c.res.status,
      seconds,
    });
  });
};

const addErrorAnswers = (app: OpenAPIHono, log: Logger): void => {
  const toNotFound = createNotFound(() => app.routes);
  app.onError(createErrorHandler(log));
  app.notFound((c) => {
    const error = toNotFound(c);
    return toProblemResponse(error, error.code === 'method_not_allowed' ? { allow: String(error.details.allow) } : {});
  });
};
