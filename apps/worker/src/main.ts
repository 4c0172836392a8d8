import { UnsafeBrokerError } from '@berth/store';
import { readWorkerConfig } from './config.js';
import { createLog, openWorkerContext } from './context.js';
import { serveWorkerHttp } from './http.js';
import { startWorker } from './worker.js';

/** A start that waits for its engine or its broker is not waited for. */
const START_LIMIT_MS = 3_000;

const config = readWorkerConfig();

const start = async () => {
  const context = await openWorkerContext(config).catch((error) => {
    if (!(error instanceof UnsafeBrokerError)) throw error;
    createLog(config).fatal(error.message);
    process.exit(1);
  });
  const worker = await startWorker(context);
  return { context, worker, http: await serveWorkerHttp(context, worker) };
};

let signals = 0;
/**
 * The first signal leaves running containers to be adopted; a second one, or the first with `--kill`, ends them. One that comes while the worker
 * starts is obeyed as soon as it has started.
 */
const stop = async (): Promise<void> => {
  signals += 1;
  const mode = signals > 1 || config.kill ? 'kill' : 'leave';
  const patience = setTimeout(() => process.exit(1), START_LIMIT_MS);
  const { context, worker, http } = await started;
  clearTimeout(patience);
  const stopping = worker.stop(mode);
  if (signals > 1) return;
  await Promise.all([http.close(), stopping]);
  await context.close();
  // A call to the engine that takes long must not hold the process: nothing that it could still bring is wanted.
  process.exit(0);
};

process.on('SIGTERM', stop);
process.on('SIGINT', stop);
const started = start();
await started;
