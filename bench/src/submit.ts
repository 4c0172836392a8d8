import { openRedis } from '@berth/store';
import { Queue } from 'bullmq';
import type { Bench } from './bench.js';
import { openApi } from './berth.js';
import type { Figure, Section } from './figure.js';
import { type LoadGenerator, openLoadGenerator } from './load.js';
import { openProgram } from './program.js';
import { median, medianRatio, percentile, runRounds } from './statistics.js';
import { typicalSpec } from './typical-job.js';

const PREFIX = 'bench-submit';
const LANES = 32;
const SUBMITS = 8_000;
const BATCH = 1_000;
const BATCHES = 5;

interface Run {
  per_second: number;
  p50_ms: number;
  p99_ms: number;
}

const runLoad = async (load: LoadGenerator, port: number): Promise<Run> => {
  const body = JSON.stringify(typicalSpec);
  const { seconds, latencies_ms } = await load.run({
    port,
    path: '/v1/jobs',
    body,
    expect: 201,
    count: SUBMITS,
    lanes: LANES,
  });
  return {
    per_second: SUBMITS / seconds,
    p50_ms: percentile(latencies_ms, 0.5),
    p99_ms: percentile(latencies_ms, 0.99),
  };
};

const runBatches = async (load: LoadGenerator, port: number): Promise<Run> => {
  const body = JSON.stringify({ jobs: Array.from({ length: BATCH }, () => typicalSpec) });
  const { seconds, latencies_ms } = await load.run({
    port,
    path: '/v1/jobs:batch',
    body,
    expect: 200,
    count: BATCHES,
    lanes: 1,
  });
  return {
    per_second: (BATCH * BATCHES) / seconds,
    p50_ms: percentile(latencies_ms, 0.5),
    p99_ms: percentile(latencies_ms, 0.99),
  };
};

/** BullMQ with the spec as the message's data: what a service that keeps no record of its own would do. */
const runAddBulk = async (queue: Queue): Promise<Run> => {
  const latencies: number[] = [];
  const begun = performance.now();
  for (let i = 0; i < BATCHES; i += 1) {
    const sent = performance.now();
    await queue.addBulk(
      Array.from({ length: BATCH }, () => ({ name: typicalSpec.name, data: typicalSpec, opts: { attempts: 3 } })),
    );
    latencies.push(performance.now() - sent);
  }
  const per_second = (BATCH * BATCHES) / ((performance.now() - begun) / 1000);
  return { per_second, p50_ms: percentile(latencies, 0.5), p99_ms: percentile(latencies, 0.99) };
};

type Name = 'submit' | 'bare' | 'batch' | 'bulk';

const toFigures = (runs: Record<Name, Run[]>): Figure[] => {
  const rates = (name: Name) => runs[name].map((run) => run.per_second);
  const ratio = (name: string, of: Name, to: Name, at_least: number): Figure => ({
    name,
    value: medianRatio(rates(of), rates(to)),
    unit: '×',
    target: { at_least },
    rounds: rates(of).map((rate, i) => rate / (rates(to)[i] ?? Number.NaN)),
  });
  const rate = (name: string, of: Name, unit: string): Figure => ({
    name,
    value: median(rates(of)),
    unit,
    rounds: rates(of),
    note: `p50 ${median(runs[of].map((run) => run.p50_ms)).toFixed(1)} ms, p99 ${median(runs[of].map((run) => run.p99_ms)).toFixed(1)} ms`,
  });
  const p99 = runs.submit.map((run) => run.p99_ms);
  return [
    ratio('POST /v1/jobs / the same route without queue and store', 'submit', 'bare', 0.35),
    { name: 'POST /v1/jobs, p99', value: median(p99), unit: 'ms', target: { at_most: 15 }, rounds: p99 },
    ratio(`batch of ${BATCH} / BullMQ addBulk of ${BATCH}`, 'batch', 'bulk', 0.5),
    rate('POST /v1/jobs', 'submit', 'jobs/s'),
    rate('the same route without queue and store', 'bare', 'requests/s'),
    rate(`POST /v1/jobs:batch of ${BATCH}`, 'batch', 'jobs/s'),
    rate(`BullMQ addBulk of ${BATCH}`, 'bulk', 'jobs/s'),
  ];
};

/** How many jobs a second can be accepted. No worker runs. */
export const benchSubmit = async ({ broker, folder, rounds }: Bench): Promise<Section> => {
  await broker.clear();
  const env = { REDIS_URL: broker.url, BERTH_PREFIX: PREFIX };
  const api = await openApi({ folder, env });
  const bare = await openProgram('bench/dist/bare-api.js', 'listening', {
    folder,
    env: { ...env, BERTH_PREFIX: `${PREFIX}-bare`, BERTH_PORT: '0' },
  });
  const redis = openRedis(broker.url, 'steady');
  const queue = new Queue('bulk', { connection: redis, prefix: `${PREFIX}-bulk` });
  const load = openLoadGenerator();
  try {
    const variants = {
      submit: () => runLoad(load, api.port),
      bare: () => runLoad(load, Number(bare.ready.port)),
      batch: () => runBatches(load, api.port),
      bulk: () => runAddBulk(queue),
    };
    await runRounds(variants, 1);
    const runs = await runRounds(variants, rounds);
    return {
      title: 'submit',
      setting: `${LANES} connections, ${SUBMITS} requests a round, AOF always, no worker, ${rounds} rounds; the load client is a process of its own on the same machine`,
      figures: toFigures(runs),
    };
  } finally {
    load.close();
    await queue.close();
    redis.disconnect();
    await bare.stop();
    await api.stop();
  }
};
