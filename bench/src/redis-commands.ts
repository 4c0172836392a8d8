import { setTimeout as sleep } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import type { Bench } from './bench.js';
import { openApi, openWorker } from './berth.js';
import { createClient, submit, waitForEnd } from './client.js';
import { echoSpec, WIDTH, WORKER_CPUS } from './echo-job.js';
import type { Figure } from './figure.js';
import { runLanes } from './lanes.js';

const PREFIX = 'bench-commands';
export const JOBS = 150;
const WARM_UP = 20;
const IDLE_MS = 6_000;
/** What the last jobs leave to be done. */
const TAIL_MS = 500;

interface Counts {
  seconds: number;
  /** Commands that came over a connection: each a place in a round trip. */
  sent: Map<string, number>;
  /** Commands that scripts gave. `INFO commandstats` and `total_commands_processed` do not tell them from the others. */
  inner: number;
}

/** What Redis does meanwhile, as MONITOR shows it. */
const countWhile = async (redis: Redis, work: () => Promise<unknown>): Promise<Counts> => {
  const monitor = await redis.monitor();
  const counts: Counts = { seconds: 0, sent: new Map(), inner: 0 };
  monitor.on('monitor', (_time: string, [command = '']: string[], source: string) => {
    const name = command.toLowerCase();
    if (source === 'lua') counts.inner += 1;
    else counts.sent.set(name, (counts.sent.get(name) ?? 0) + 1);
  });
  const begun = performance.now();
  await work();
  counts.seconds = (performance.now() - begun) / 1_000;
  monitor.disconnect();
  return counts;
};

const sum = (counts: Map<string, number>): number => [...counts.values()].reduce((all, one) => all + one, 0);

const toFigures = (idle: Counts, busy: Counts): Figure[] => {
  const perJob = (of: (counts: Counts) => number) => (of(busy) - (of(idle) / idle.seconds) * busy.seconds) / JOBS;
  const named = [...busy.sent.keys()]
    .map((name) => ({ name, value: perJob(({ sent }) => sent.get(name) ?? 0) }))
    .filter(({ value }) => value >= 0.1)
    .sort((a, b) => b.value - a.value)
    .map(({ name, value }) => `${name} ${value.toFixed(1)}`);
  const idleRate = (value: number) => `${(value / idle.seconds).toFixed(1)} a second when idle`;
  return [
    {
      name: 'Redis commands sent, a job',
      value: perJob(({ sent }) => sum(sent)),
      unit: '',
      note: `${named.join(', ')}; ${idleRate(sum(idle.sent))}`,
    },
    {
      name: 'Redis commands within scripts, a job',
      value: perJob(({ inner }) => inner),
      unit: '',
      note: idleRate(idle.inner),
    },
  ];
};

/** What one job costs the broker from POST to the answered long poll, less what an idle system does in that time. */
export const measureCommands = async ({ broker, dockerHost, folder }: Bench): Promise<Figure[]> => {
  await broker.clear();
  const env = {
    REDIS_URL: broker.url,
    BERTH_PREFIX: PREFIX,
    BERTH_CPUS: String(WORKER_CPUS),
    DOCKER_HOST: dockerHost,
  };
  const api = await openApi({ folder, env });
  const worker = await openWorker({ folder, env });
  const client = createClient(api.port);
  const runJobs = (count: number) =>
    runLanes(count, WIDTH, async () => {
      const job = await waitForEnd(client, await submit(client, { ...echoSpec, command: ['true'] }));
      if (job.state !== 'completed') throw new Error(`a job ended ${job.state}: ${job.cause}`);
    });
  try {
    await runJobs(WARM_UP);
    await sleep(TAIL_MS);
    const idle = await countWhile(broker.redis, () => sleep(IDLE_MS));
    const busy = await countWhile(broker.redis, async () => {
      await runJobs(JOBS);
      await sleep(TAIL_MS);
    });
    return toFigures(idle, busy);
  } finally {
    client.close();
    await worker.stop();
    await api.stop();
  }
};
