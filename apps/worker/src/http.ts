import { serve } from '@hono/node-server';
import { Hono } from 'hono';
import type { WorkerContext } from './context.js';
import type { RunningWorker } from './worker.js';

/** The worker's own port: health, metrics, and the runner's format. Port 0 turns it off. */
export const serveWorkerHttp = async (
  context: WorkerContext,
  _worker: RunningWorker,
): Promise<{ close(): Promise<void> }> => {
  const { config, metrics } = context;
  if (config.port === 0) return { close: async () => {} };
  const app = new Hono();
  app.get('/health', (c) => c.json({ status: 'healthy', service: 'runner' }));
  app.get('/metrics', async (c) => c.text(await metrics.render()));
  const server = serve({ fetch: app.fetch, hostname: config.host, port: config.port });
  return {
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        if ('closeAllConnections' in server) server.closeAllConnections();
      }),
  };
};
