import { createStore, openRedis } from '@berth/store';
import { readWorkerConfig } from '../../apps/worker/dist/config.js';
import { openWorkerContext } from '../../apps/worker/dist/context.js';
import { createDockerRuntime } from '../../apps/worker/dist/runtime/docker/docker-runtime.js';
import { startWorker } from '../../apps/worker/dist/worker.js';

/** The worker as it is shipped, with the OCI runtime of BENCH_OCI_RUNTIME instead of the one that it would choose. */
const config = readWorkerConfig();
const redis = openRedis(config.redisUrl, 'steady');
const installation = await createStore(redis, config.prefix).readInstallation();
redis.disconnect();
const runtime = createDockerRuntime({
  installation,
  engine: config.dockerHost,
  probe_image: config.defaultImage,
  oci_runtime: process.env.BENCH_OCI_RUNTIME,
});
const context = await openWorkerContext(config, { runtime, installation });
const worker = await startWorker(context);

process.once('SIGTERM', async () => {
  await worker.stop('kill');
  await context.close();
});
