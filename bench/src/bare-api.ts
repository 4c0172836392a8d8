import { DEFAULT_CLASSES } from '@berth/domain';
import { createJobId, type JobStore } from '@berth/store';
import { pino } from 'pino';
import { createApp } from '../../apps/api/dist/app.js';
import { readApiConfig } from '../../apps/api/dist/config.js';
import { openContext } from '../../apps/api/dist/context.js';
import { createJobs } from '../../apps/api/dist/jobs.js';
import { openServer } from '../../apps/api/dist/server.js';

/**
 * The API with the same routes, schema and answers, whose jobs go nowhere: `accept` hands out an id and keeps nothing. What it
 * serves a second is what HTTP and the schema alone cost.
 */
const config = readApiConfig();
const log = pino();
const context = await openContext(config, log, { relay: { kick: () => undefined, close: async () => undefined } });

const accept: JobStore['accept'] = async () => {
  const created_at = Date.now();
  return { job_id: createJobId(created_at), created_at, replayed: false, after_left: 0, ended: false };
};
const jobs = createJobs({
  store: { ...context.store.jobs, accept },
  uploads: context.store.uploads,
  admit: async () => undefined,
  classes: DEFAULT_CLASSES,
  defaultImage: config.defaultImage,
  allowedRegistries: [],
  onAccepted: () => undefined,
  onCancelled: () => undefined,
});
const apiKeys = { ...context.store.apiKeys, verify: async () => ({ kind: 'no_keys' }) as const };
const app = createApp({ ...context, jobs, store: { ...context.store, apiKeys } });
const server = await openServer({ ...config, fetch: app.fetch as never });
log.info({ port: server.port }, 'listening');

process.once('SIGTERM', async () => {
  await server.close();
  await context.close();
});
