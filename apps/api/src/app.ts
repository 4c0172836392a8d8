import type { ResourceClass } from '@berth/domain';
import type { ApiMetrics } from '@berth/metrics';
import type { Producer } from '@berth/queue';
import type { EventFeed, Store } from '@berth/store';
import { OpenAPIHono } from '@hono/zod-openapi';
import { routePath } from 'hono/route';
import type { Logger } from 'pino';
import type { Admission } from './admission.js';
import { createStreams } from './byte-stream.js';
import { addKeptFormats } from './compat/router.js';
import { addDashboard } from './dashboard.js';
import { createErrorHandler, toProblemResponse } from './errors.js';
import type { Jobs } from './jobs.js';
import type { LogReader } from './log-reader.js';
import { createNotFound, guardRequests } from './request-guard.js';
import { addBatchRoute } from './routes/batch.js';
import { addDocsRoutes } from './routes/docs.js';
import { addEventRoutes } from './routes/events.js';
import { addHealthRoutes } from './routes/health.js';
import { addJobRoutes } from './routes/jobs.js';
import { addLogRoutes } from './routes/logs.js';
import { addMetricsRoute } from './routes/metrics.js';
import { addNodeRoutes } from './routes/nodes.js';
import { addStatsRoutes } from './routes/stats.js';
import type { Waiters } from './waiters.js';

/** What the routes are made of. */
export interface AppParts {
  store: Store;
  jobs: Jobs;
  admission: Pick<Admission, 'refusals'>;
  waiters: Waiters;
  reader: LogReader;
  feed: EventFeed;
  /** Makes the relay look at every class's backlog. */
  kick: () => void;
  /** Fails jobs that have waited longer than they may; returns how many. */
  failOverdue: () => Promise<number>;
  metrics: ApiMetrics;
  producer: Pick<Producer, 'queues'>;
  classes: ResourceClass[];
  loopbackOnly: boolean;
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
  app.use(guardRequests(parts.loopbackOnly));
  addErrorAnswers(app, log);

  const streams = createStreams(shutdown, log);
  addJobRoutes(app, { jobs, list: store.list, logs: store.logs, waiters, shutdown, now });
  addBatchRoute(app, { jobs, onError: createErrorHandler(log) });
  addLogRoutes(app, { jobs, logs: store.logs, reader: parts.reader, streams });
  addEventRoutes(app, { jobs, store: store.jobs, waiters, streams });
  addNodeRoutes(app, { workers: store.workers, now });
  addStatsRoutes(app, { list: store.list, classes: parts.classes, readTotals: store.readTotals });
  addHealthRoutes(app, { ping: store.ping, admission: parts.admission, shutdown });
  addMetricsRoute(app, { metrics: parts.metrics, list: store.list, readTotals: store.readTotals });
  addDocsRoutes(app);
  addDashboard(app, parts.producer.queues);
  addKeptFormats(app, parts);
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
