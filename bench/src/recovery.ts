import { setTimeout as sleep } from 'node:timers/promises';
import { createStore, type Store } from '@berth/store';
import type { Redis } from 'ioredis';
import type { Bench } from './bench.js';
import { openApi, openWorker } from './berth.js';
import { type Client, createClient, submit, waitForEnd } from './client.js';
import { IMAGE } from './echo-job.js';
import type { Figure } from './figure.js';
import type { Place, Program } from './program.js';
import { median, percentile } from './statistics.js';

const PREFIX = 'bench-recovery';
export const RUNNING = 8;
const SUPERVISOR_MS = 500;
const LOOK_MS = 20;
const LIMIT_MS = 60_000;

const countingSpec = {
  image: IMAGE,
  command: 'i=0; while :; do echo $i; i=$((i + 1)); usleep 100000; done',
  cpus: 0.1,
  memory_mb: 16,
  stop_grace_seconds: 0,
};

interface Seen {
  owner: string | null;
  /** Id of the last piece of output that is stored. */
  last: string | undefined;
}

interface Site {
  redis: Redis;
  store: Store;
  client: Client;
}

const look = ({ redis, store }: Site, job_ids: string[]): Promise<Seen[]> =>
  Promise.all(
    job_ids.map(async (id) => {
      const [owner, pieces] = await Promise.all([
        redis.hget(store.keys.job(id), 'owner'),
        redis.xrevrange(store.keys.log(id), '+', '-', 'COUNT', 1),
      ]);
      return { owner, last: pieces[0]?.[0] };
    }),
  );

const untilAll = async (site: Site, job_ids: string[], isSo: (seen: Seen, i: number) => boolean): Promise<void> => {
  for (const deadline = Date.now() + LIMIT_MS; Date.now() < deadline; await sleep(LOOK_MS)) {
    if ((await look(site, job_ids)).every(isSo)) return;
  }
  throw new Error(`jobs were not owned and writing within ${LIMIT_MS / 1_000} s`);
};

/** Seconds from the kill until each job belongs to another worker, and output written after the kill is stored. */
const timeRecovery = async (site: Site, job_ids: string[], victim: Program): Promise<number> => {
  const dead = victim.ready.worker;
  const begun = performance.now();
  await victim.kill();
  const before = await look(site, job_ids);
  await untilAll(site, job_ids, ({ owner, last }, i) => owner !== null && owner !== dead && last !== before[i]?.last);
  return (performance.now() - begun) / 1_000;
};

const startJobs = async (site: Site): Promise<string[]> => {
  const job_ids = await Promise.all(Array.from({ length: RUNNING }, () => submit(site.client, countingSpec)));
  await untilAll(site, job_ids, ({ last }) => last !== undefined);
  return job_ids;
};

const endJobs = async ({ client }: Site, job_ids: string[]): Promise<void> => {
  await Promise.all(job_ids.map((id) => client.call('POST', `/v1/jobs/${id}/cancel`)));
  await Promise.all(job_ids.map((id) => waitForEnd(client, id)));
};

type Round = { neighbour: number; restarted: number };

/** Begins and ends with one worker. */
const runRound = async (site: Site, place: Place, first: Program): Promise<{ worker: Program; round: Round }> => {
  const jobs = await startJobs(site);
  const neighbour = await openWorker(place);
  const withNeighbour = await timeRecovery(site, jobs, first);
  await endJobs(site, jobs);

  const others = await startJobs(site);
  const restart = async () => {
    await sleep(SUPERVISOR_MS);
    return openWorker(place);
  };
  const [alone, worker] = await Promise.all([timeRecovery(site, others, neighbour), restart()]);
  await endJobs(site, others);
  return { worker, round: { neighbour: withNeighbour, restarted: alone } };
};

const toFigures = (rounds: Round[]): Figure[] => {
  const figures = (name: string, seconds: number[]): Figure[] => [
    { name: `${name}, p50`, value: median(seconds), unit: 's', rounds: seconds },
    { name: `${name}, max`, value: percentile(seconds, 1), unit: 's', target: { at_most: 5 }, rounds: seconds },
  ];
  return [
    ...figures(
      'kill -9 → adopted by a neighbour and writing',
      rounds.map((round) => round.neighbour),
    ),
    ...figures(
      'kill -9 → adopted by its restarted self and writing',
      rounds.map((round) => round.restarted),
    ),
  ];
};

/** How long running containers are without a worker after a kill -9, on the same machine. */
export const measureRecovery = async ({ broker, dockerHost, folder, rounds }: Bench): Promise<Figure[]> => {
  await broker.clear();
  const env = { REDIS_URL: broker.url, BERTH_PREFIX: PREFIX, BERTH_CPUS: '2', DOCKER_HOST: dockerHost };
  const place = { folder, env };
  const api = await openApi(place);
  const client = createClient(api.port);
  const site = { redis: broker.redis, store: createStore(broker.redis, PREFIX), client };
  let worker = await openWorker(place);
  try {
    const done: Round[] = [];
    for (let i = 0; i < rounds; i += 1) {
      const next = await runRound(site, place, worker);
      worker = next.worker;
      done.push(next.round);
    }
    return toFigures(done);
  } finally {
    client.close();
    await worker.stop();
    await api.stop();
  }
};
