import { NewerHistoryError } from '@berth/history';
import { UnsafeBrokerError } from '@berth/store';
import { createApp } from './app.js';
import { readApiConfig } from './config.js';
import { openContext } from './context.js';
import { createLog } from './log.js';
import { openServer } from './server.js';

const LAST_RESORT_MS = 5_000;

const config = readApiConfig();
const log = createLog(config.logLevel);
const context = await openContext(config, log).catch((error) => {
  if (!(error instanceof UnsafeBrokerError || error instanceof NewerHistoryError)) throw error;
  log.fatal(error.message);
  process.exit(1);
});
const app = createApp(context);
const server = await openServer({ ...config, fetch: app.fetch as never });
log.info({ host: server.host, port: server.port, classes: config.classes.map(({ name }) => name) }, 'listening');

const stop = async (signal: string): Promise<void> => {
  log.info({ signal }, 'stopping');
  setTimeout(() => process.exit(1), LAST_RESORT_MS).unref();
  context.stop();
  await server.close();
  await context.close();
  process.exit(0);
};
process.once('SIGTERM', stop);
process.once('SIGINT', stop);
