import { once } from 'node:events';
import { createStore, openEventFeed, openRedis } from '@berth/store';
import { createAdaptorServer, type ServerType } from '@hono/node-server';
import { createArrivalLimit } from './arrival.js';
import type { WorkerContext } from './context.js';
import { createExecutor } from './execute.js';
import { createJobEnds } from './job-ends.js';
import { createPayloadApp } from './payload-app.js';
import { createPayloads } from './payloads.js';
import { createRunnerApp } from './runner-app.js';
import type { RunningWorker } from './worker.js';

/** A request must have arrived after so long, headers and body; its answer may take as long as the command. Checked four times a second. */
const ARRIVAL_MS = 9_500;
const CHECK_MS = 250;

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
    verifyKey: executor.verifyKey,
    openWithoutKeys: config.openWithoutKeys,
    findRefusal: () => context.pastGate.problem,
    renderMetrics: metrics.render,
    metricsType: metrics.contentType,
    loopbackOnly: config.loopbackOnly,
    beside: executor.payloadApp,
    log,
  });
  const server = await openServer(app, config);
  return {
    async close() {
      await closeServer(server);
      await executor.close();
    },
  };
};

type Serve = Parameters<typeof createAdaptorServer>[0]['fetch'];

/** Serves an app with limits on how long a request may take to arrive. */
export const openServer = async (
  app: ReturnType<typeof createRunnerApp>,
  { port, host }: { port: number; host: string },
): Promise<ServerType> => {
  const serverOptions = {
    headersTimeout: ARRIVAL_MS,
    requestTimeout: 0,
    connectionsCheckingInterval: CHECK_MS,
  };
  const server = createAdaptorServer({ fetch: app.fetch as Serve, serverOptions });
  server.prependListener('request', createArrivalLimit(ARRIVAL_MS));
  server.listen(port, host);
  await once(server, 'listening');
  return server;
};

/** Callers wait for these, so they go over a connection that fails soon while the broker is away. */
const openExecutor = async (context: WorkerContext, worker: RunningWorker) => {
  const { config, store, files, log } = context;
  const connect = (use: 'request' | 'blocking') => {
    const redis = openRedis(config.redisUrl, use);
    redis.on('error', (err) => log.debug({ err, use }, 'the broker does not answer'));
    return redis;
  };
  const redis = connect('request');
  if (redis.status !== 'ready') await new Promise((resolve) => redis.once('ready', resolve));
  const own = createStore(redis, config.prefix, files);
  const ends = createJobEnds({
    openFeed: () => openEventFeed(connect('blocking'), own.keys),
    readJob: own.jobs.read,
  });
  const { classes, defaultImage, maxFileBytes, uploadQuotaBytes } = config;
  const execute = createExecutor({
    ...{ store: own, claims: store.claims, worker, ends },
    ...{ classes, defaultImage },
  });
  const { verify: verifyKey } = own.apiKeys;
  const payloads = createPayloads({
    ...{ store: own, files, claims: store.claims, worker, log },
    ...{ classes, defaultImage, maxFileBytes, uploadQuotaBytes },
  });
  const payloadApp = createPayloadApp({
    ...{ payloads, files, verifyKey, log },
    openWithoutKeys: config.openWithoutKeys,
    findRefusal: () => context.pastGate.problem,
  });
  return {
    execute,
    payloadApp,
    verifyKey,
    async close() {
      await ends.close();
      redis.disconnect();
    },
  };
};

export const closeServer = (server: ServerType): Promise<void> =>
  new Promise((resolve) => {
    server.close(() => resolve());
    if ('closeAllConnections' in server) server.closeAllConnections();
  });
