import { UnsafeBrokerError } from '@berth/store';
import { readWorkerConfig } from './config.js';
import { createLog, openWorkerContext } from './context.js';
import { serveWorkerHttp } from './http.js';
import { startWorker } from './worker.js';

const config = readWorkerConfig();
const context = await openWorkerContext(config).catch((error) => {
  if (!(error instanceof UnsafeBrokerError)) throw error;
  createLog(config).fatal(error.message);
  process.exit(1);
});
const worker = await startWorker(context);
const http = await serveWorkerHttp(context, worker);

let signals = 0;
/** The first signal leaves running containers to be adopted; a second one, or the first with `--kill`, ends them. */
const stop = async (): Promise<void> => {
  signals += 1;
  const stopping = worker.stop(signals > 1 || config.kill ? 'kill' : 'leave');
  if (signals > 1) return;
  await Promise.all([http.close(), stopping]);
  await context.close();
  // A call to the engine that takes long must not hold the process: nothing that it could still bring is wanted.
  process.exit(0);
};

process.on('SIGTERM', stop);
process.on('SIGINT', stop);
