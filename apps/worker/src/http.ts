import { once } from 'node:events';
import { createStore, openEventFeed, openRedis } from '@berth/store';
import { createAdaptorServer, type ServerType } from '@hono/node-server';
import type { WorkerContext } from './context.js';
import { createExecutor } from './execute.js';
import { createJobEnds } from './job-ends.js';
import { createRunnerApp } from './runner-app.js';
import type { RunningWorker } from './worker.js';

export interface WorkerHttp {
  close(): Promise<void>;
}

/** The worker's own port: health, metrics, and the runner's format. Port 0 turns it off. */
export const serveWorkerHttp = async (context: WorkerContext, worker: RunningWorker): Promise<WorkerHttp> => {
  const { config, metrics, log } = context;
  if (config.port === 0) return { close: async () => {} };
  const executor = await openExecutor(context, worker);
  const app = createRunnerApp({
    execute: executor.execute,
    renderMetrics: metrics.render,
    metricsType: metrics.contentType,
    loopbackOnly: config.loopbackOnly,
    log,
  });
  const server = createAdaptorServer({ fetch: app.fetch });
  server.listen(config.port, config.host);
  await once(server, 'listening');
  return {
    async close() {
      await closeServer(server);
      await executor.close();
    },
  };
};

/** Callers wait for these, so they go over a connection that fails soon while the broker is away. */
const openExecutor = async (context: WorkerContext, worker: RunningWorker) => {
  const { config, store, room, log } = context;
  const connect = (use: 'request' | 'blocking') => {
    const redis = openRedis(config.redisUrl, use);
    redis.on('error', (err) => log.debug({ err, use }, 'the broker does not answer'));
    return redis;
  };
  const redis = connect('request');
  if (redis.status !== 'ready') await new Promise((resolve) => redis.once('ready', resolve));
  const own = createStore(redis, config.prefix);
  const ends = createJobEnds({
    openFeed: () => openEventFeed(connect('blocking'), own.keys),
    readJob: own.jobs.read,
  });
  const { classes, defaultImage, logLimitBytes } = config;
  const execute = createExecutor({
    ...{ store: own, claims: store.claims, worker, room, ends },
    ...{ classes, defaultImage, logLimitBytes },
  });
  return {
    execute,
    async close() {
      await ends.close();
      redis.disconnect();
    },
  };
};

const closeServer = (server: ServerType): Promise<void> =>
  new Promise((resolve) => {
    server.close(() => resolve());
    if ('closeAllConnections' in server) server.closeAllConnections();
  });
