import { setTimeout as sleep } from 'node:timers/promises';
import { createStore } from '@berth/store';
import type { Redis } from 'ioredis';
import type { Bench } from './bench.js';
import { openApi, openWorker } from './berth.js';
import type { Figure } from './figure.js';
import { openLoadGenerator } from './load.js';
import { readProcessCpu } from './machine.js';

const PREFIX = 'bench-leases';
export const HELD = 1_000;
const LANES = 8;
const CLAIM_LIMIT_MS = 60_000;
/** What the claims leave to be done. */
const SETTLE_MS = 3_000;
/** Whole quarters of a lease, so that each measurement holds the same number of renewals. */
const MEASURE_MS = 15_000;

const spec = { command: ['sleep', 'infinity'], cpus: 0.01, memory_mb: 6 };

/** A second. */
interface Cost {
  worker_ms: number;
  redis_ms: number;
  /** Those within scripts too. */
  commands: number;
  scripts: number;
}

const readCounts = async (redis: Redis): Promise<{ commands: number; scripts: number }> => ({
  commands: Number(/total_commands_processed:(\d+)/.exec(await redis.info('stats'))?.[1]),
  scripts: Number(/cmdstat_evalsha:calls=(\d+)/.exec(await redis.info('commandstats'))?.[1] ?? 0),
});

const measure = async ({ broker }: Bench, worker_pid: number): Promise<Cost> => {
  const read = async () => ({
    ...(await readCounts(broker.redis)),
    worker_ms: readProcessCpu([worker_pid]),
    redis_ms: readProcessCpu([broker.pid]),
  });
  const before = await read();
  await sleep(MEASURE_MS);
  const after = await read();
  const rate = (name: keyof Cost) => ((after[name] - before[name]) * 1_000) / MEASURE_MS;
  return {
    worker_ms: rate('worker_ms'),
    redis_ms: rate('redis_ms'),
    commands: rate('commands'),
    scripts: rate('scripts'),
  };
};

const toFigures = (none: Cost, held: Cost): Figure[] => {
  const figure = (name: string, unit: string, field: keyof Cost): Figure => ({
    name: `${name} at ${HELD} running jobs`,
    value: held[field],
    unit,
    note: `${none[field].toFixed(1)} with none`,
  });
  return [
    figure('the worker’s CPU', 'ms/s', 'worker_ms'),
    figure('Redis’s CPU', 'ms/s', 'redis_ms'),
    figure('Redis commands, those in scripts too,', 'a second', 'commands'),
    figure('of them scripts,', 'a second', 'scripts'),
  ];
};

/** What it costs one worker and the broker that a thousand jobs run: renewals, signs of life, looks at the engine. */
export const measureLeases = async (bench: Bench): Promise<Figure[]> => {
  const { broker, folder, dockerHost } = bench;
  await broker.clear();
  const env = { REDIS_URL: broker.url, BERTH_PREFIX: PREFIX, DOCKER_HOST: dockerHost };
  const room = { BERTH_CPUS: '64', BERTH_MEMORY_MB: '65536', BENCH_ENDLESS: '1' };
  const api = await openApi({ folder, env });
  const worker = await openWorker({ folder, env: { ...env, ...room } }, 'bench/dist/fake-worker.js');
  const load = openLoadGenerator();
  const { keys } = createStore(broker.redis, PREFIX);
  const waitForClaims = async (): Promise<void> => {
    for (const deadline = Date.now() + CLAIM_LIMIT_MS; Date.now() < deadline; await sleep(100)) {
      if ((await broker.redis.zcard(keys.jobsInState('running'))) === HELD) return;
    }
    throw new Error(`the worker did not claim ${HELD} jobs within ${CLAIM_LIMIT_MS / 1_000} s`);
  };
  try {
    await sleep(SETTLE_MS);
    const none = await measure(bench, worker.pid);
    const body = JSON.stringify(spec);
    await load.run({ port: api.port, path: '/v1/jobs', body, expect: 201, count: HELD, lanes: LANES });
    await waitForClaims();
    await sleep(SETTLE_MS);
    return toFigures(none, await measure(bench, worker.pid));
  } finally {
    load.close();
    await worker.kill();
    await api.stop();
  }
};
