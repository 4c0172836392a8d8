import { setTimeout as sleep } from 'node:timers/promises';
import type { Bench } from './bench.js';
import { type Api, openApi, openWorker } from './berth.js';
import type { OwnBroker } from './broker.js';
import { createClient, submit, waitForEnd } from './client.js';
import { echoSpec } from './echo-job.js';
import type { Figure, Section } from './figure.js';
import { runLanes } from './lanes.js';
import { openLoadGenerator } from './load.js';
import { readRss } from './machine.js';
import type { Program } from './program.js';
import { median } from './statistics.js';
import { typicalSpec } from './typical-job.js';

const PENDING = 10_000;
const FIRST = 1_000;
const ALL = 10_000;
const LANES = 32;
/** RSS is read this often and so many times after the last job, and the median taken. */
const SETTLE_MS = 200;
const READINGS = 10;

const readUsed = async ({ redis }: OwnBroker): Promise<number> =>
  Number(/used_memory:(\d+)/.exec(await redis.info('memory'))?.[1]);

/** All that Redis holds more than before, over the number of pending jobs. */
const measurePending = async ({ broker, folder }: Bench): Promise<Figure> => {
  await broker.clear();
  const api = await openApi({ folder, env: { REDIS_URL: broker.url, BERTH_PREFIX: 'berth' } });
  const load = openLoadGenerator();
  try {
    const body = JSON.stringify(typicalSpec);
    const send = (count: number) =>
      load.run({ port: api.port, path: '/v1/jobs', body, expect: 201, count, lanes: LANES });
    await sleep(SETTLE_MS);
    const before = await readUsed(broker);
    await send(PENDING);
    await sleep(1_000);
    const value = ((await readUsed(broker)) - before) / PENDING;
    return {
      name: `Redis, a pending job (${PENDING} of them)`,
      value,
      unit: 'bytes',
      target: { at_most: 1600 },
      note: 'used_memory before and after: record, indexes, history, events, messages',
    };
  } finally {
    load.close();
    await api.stop();
  }
};

const readSettledRss = async (pid: number): Promise<number> => {
  const readings: number[] = [];
  for (let i = 0; i < READINGS; i += 1) {
    await sleep(SETTLE_MS);
    readings.push(readRss(pid));
  }
  return median(readings);
};

const readBoth = async (api: Api, worker: Program): Promise<{ api: number; worker: number }> => {
  const [a, w] = await Promise.all([readSettledRss(api.pid), readSettledRss(worker.pid)]);
  return { api: a, worker: w };
};

const measureGrowth = async ({ broker, folder, soak, dockerHost }: Bench): Promise<Figure[]> => {
  await broker.clear();
  const env = { REDIS_URL: broker.url, BERTH_PREFIX: 'bench-growth', BERTH_CPUS: '16', DOCKER_HOST: dockerHost };
  const api = await openApi({ folder, env });
  const worker = await openWorker(
    { folder, env: soak ? { ...env, BERTH_CPUS: '2' } : env },
    soak ? undefined : 'bench/dist/fake-worker.js',
  );
  const client = createClient(api.port);
  const runJobs = (count: number): Promise<void> =>
    runLanes(count, LANES, async () => {
      const job = await waitForEnd(client, await submit(client, echoSpec));
      if (job.state !== 'completed') throw new Error(`a job ended ${job.state}: ${job.cause}`);
    });
  try {
    await runJobs(FIRST);
    const first = await readBoth(api, worker);
    await runJobs(ALL - FIRST);
    const all = await readBoth(api, worker);
    const growth = (name: 'api' | 'worker'): Figure => ({
      name: `RSS of the ${name} after ${ALL} jobs / after ${FIRST}`,
      value: all[name] / first[name],
      unit: '×',
      target: { at_most: 1.2 },
      note: `${first[name].toFixed(0)} → ${all[name].toFixed(0)} MiB`,
    });
    return [growth('api'), growth('worker')];
  } finally {
    client.close();
    await worker.stop();
    await api.stop();
  }
};

export const benchMemory = async (bench: Bench): Promise<Section> => ({
  title: 'memory',
  setting: bench.soak
    ? `${ALL} jobs in real containers, submitted by ${LANES} clients that wait for each`
    : `${ALL} jobs through the shipped worker on the fake runtime (--soak: real containers), by ${LANES} clients that wait for each; one run`,
  figures: [await measurePending(bench), ...(await measureGrowth(bench))],
});
