import { setTimeout as sleep } from 'node:timers/promises';
import type { Bench } from './bench.js';
import { openApi } from './berth.js';
import type { OwnBroker } from './broker.js';
import { type Client, createClient } from './client.js';
import type { Figure, Section } from './figure.js';
import { median, percentile } from './statistics.js';

const SIZE = 1_000_000;
const ARRAYS = 20;
const GRAPH = 10_000;
const SETTLE_MS = 500;

const readUsed = async ({ redis }: OwnBroker): Promise<number> =>
  Number(/used_memory:(\d+)/.exec(await redis.info('memory'))?.[1]);

const post = async (client: Client, path: string, body: unknown): Promise<unknown> => {
  const answer = await client.call('POST', path, body);
  if (answer.status >= 300) throw new Error(`${path} answered ${answer.status}`);
  return answer.body;
};

const measureArrays = async (client: Client, broker: OwnBroker): Promise<Figure[]> => {
  const times: number[] = [];
  await post(client, '/v1/jobs', { command: 'true', array: { size: 1 } });
  const before = await readUsed(broker);
  for (let i = 0; i < ARRAYS; i += 1) {
    const began = performance.now();
    await post(client, '/v1/jobs', { command: 'true', array: { size: SIZE, max_running: 100 } });
    times.push(performance.now() - began);
    // Until its window has become jobs, so that each is measured by itself.
    await sleep(SETTLE_MS);
  }
  const each = ((await readUsed(broker)) - before) / ARRAYS;
  return [
    {
      name: 'submit an array of 1,000,000, p99',
      value: percentile(times, 0.99),
      unit: 'ms',
      target: { at_most: 100 },
      note: `p50 ${median(times).toFixed(1)} ms of ${ARRAYS}`,
    },
    { name: 'Redis, such an array with its window', value: each / 1e6, unit: 'MB', target: { at_most: 5 } },
  ];
};

/** A tree whose entries also run after the one before: the deepest graph that has as many edges. */
const toGraph = () =>
  Array.from({ length: GRAPH }, (_, i) => {
    const parents = i === 0 ? [] : [...new Set([Math.floor((i - 1) / 2), i - 1])];
    return { command: 'true', after: parents.map((place) => ({ job: `#${place}` })) };
  });

const measureGraph = async (client: Client): Promise<Figure[]> => {
  const began = performance.now();
  const body = (await post(client, '/v1/jobs:batch', { jobs: toGraph() })) as {
    results: { status: number; job: { job_id: string } }[];
  };
  const submitted = performance.now() - began;
  if (body.results.some(({ status }) => status !== 201)) throw new Error('an entry of the graph was refused');
  const ids = body.results.map(({ job }) => job.job_id);
  const cut = performance.now();
  await post(client, `/v1/jobs/${ids[0]}/cancel`, {});
  const last = await client.call('GET', `/v1/jobs/${ids.at(-1)}?wait=60`);
  if ((last.body as { cause: string }).cause !== 'dependency_failed') throw new Error('the graph was not cut off');
  return [
    { name: 'submit a graph of 10,000 jobs in one batch', value: submitted, unit: 'ms' },
    { name: 'from the cancel of its root to the end of its last', value: performance.now() - cut, unit: 'ms' },
  ];
};

export const benchShapes = async ({ broker, folder }: Bench): Promise<Section> => {
  await broker.clear();
  const api = await openApi({ folder, env: { REDIS_URL: broker.url, BERTH_PREFIX: 'berth' } });
  const client = createClient(api.port);
  try {
    const figures = [...(await measureArrays(client, broker)), ...(await measureGraph(client))];
    return {
      title: 'Shapes of work',
      setting: 'One API, no worker, one client; times as the client sees them.',
      figures,
    };
  } finally {
    client.close();
    await api.stop();
  }
};
