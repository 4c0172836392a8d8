import { readWorkerConfig } from './config.js';
import { openWorkerContext } from './context.js';
import { serveWorkerHttp } from './http.js';
import { startWorker } from './worker.js';

const context = await openWorkerContext(readWorkerConfig());
const worker = await startWorker(context);
const http = await serveWorkerHttp(context, worker);

let stopping = false;
const stop = async (): Promise<void> => {
  if (stopping) return;
  stopping = true;
  await http.close();
  await worker.stop();
  await context.close();
};

process.on('SIGTERM', stop);
process.on('SIGINT', stop);
