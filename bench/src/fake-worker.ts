import { readWorkerConfig } from '../../apps/worker/dist/config.js';
import { openWorkerContext } from '../../apps/worker/dist/context.js';
import { createFakeEngine, createFakeRuntime, type FakeWrite } from '../../apps/worker/dist/runtime/fake-runtime.js';
import { startWorker } from '../../apps/worker/dist/worker.js';

/**
 * The worker as it is shipped, over a runtime whose containers print a line and end at once, or with BENCH_ENDLESS run on until
 * they are stopped.
 */
const output: FakeWrite[] = [{ stream: 'stdout', data: 'hi\n' }];
const endless = { output, until: new Promise(() => undefined) };
const engine = createFakeEngine({ program: () => (process.env.BENCH_ENDLESS ? endless : { output }) });
const config = readWorkerConfig();
const installation = 'berth-bench-fake';
const context = await openWorkerContext(config, { runtime: createFakeRuntime(engine, installation), installation });
const worker = await startWorker(context);

process.once('SIGTERM', async () => {
  await worker.stop('kill');
  await context.close();
});
