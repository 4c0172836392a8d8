import { setTimeout as sleep } from 'node:timers/promises';
import { createStore, type EventFeed, openEventFeed, openRedis } from '@berth/store';
import type Docker from 'dockerode';
import { describeEngine } from '../../apps/worker/dist/runtime/docker/engine-description.js';
import { runBareLoop, runDockerCli } from './bare-containers.js';
import type { Bench } from './bench.js';
import { openApi, openWorker } from './berth.js';
import { type Client, createClient, submit, waitForEnd } from './client.js';
import { echoSpec, IMAGE, plugSpec, WIDTH, WORKER_CPUS } from './echo-job.js';
import type { Figure, Section } from './figure.js';
import { runLanes } from './lanes.js';
import { readCpu, readProcessCpu } from './machine.js';
import { median, medianRatio, runRounds } from './statistics.js';

const PREFIX = 'bench-containers';
const JOBS = 60;
const CLI_JOBS = 32;
/** Targets by the OCI runtime that Berth uses; `docker run` uses the engine's default one. */
const CLI_TARGETS: Record<string, number> = { crun: 2.5, runc: 1.8 };

interface Run {
  jobs_per_second: number;
  /** Milliseconds of the whole machine or of the control group, a job. */
  cpu_ms: number;
  /** Milliseconds of Berth's own processes and Redis, a job. */
  own_cpu_ms: number;
}

interface Counted {
  count: number;
  pids: readonly number[];
  cpuGroup: string | undefined;
}

const measure = async ({ count, pids, cpuGroup }: Counted, work: () => Promise<number>): Promise<Run> => {
  const whole = readCpu(cpuGroup);
  const own = readProcessCpu(pids);
  const seconds = await work();
  const cpu_ms = (readCpu(cpuGroup) - whole) / count;
  return { jobs_per_second: count / seconds, cpu_ms, own_cpu_ms: (readProcessCpu(pids) - own) / count };
};

/** No container of ours is left: the last round's clean-up is not the next one's load. */
const untilQuiet = async (docker: Docker, installation: string): Promise<void> => {
  const filters = { label: [`berth.installation=${installation}`] };
  while ((await docker.listContainers({ all: true, filters })).length > 0) await sleep(50);
  await sleep(300);
};

const runLive = async (client: Client, clients: number): Promise<number> => {
  const begun = performance.now();
  await runLanes(JOBS, clients, async () => {
    const job = await waitForEnd(client, await submit(client, echoSpec));
    if (job.state !== 'completed' || job.stdout !== 'hi\n') throw new Error(`a job ended ${job.state}: ${job.cause}`);
  });
  return (performance.now() - begun) / 1000;
};

/** Resolves at the end of each of the jobs, with the time that the record gives it. */
const createEnds = (feed: EventFeed) => {
  const ended = new Map<string, (at: number) => void>();
  feed.subscribe((event) => {
    if (event === 'resynced' || !['completed', 'failed', 'cancelled'].includes(event.state)) return;
    ended.get(event.job_id)?.(event.at);
  });
  return (job_id: string): Promise<number> => new Promise((resolve) => ended.set(job_id, resolve));
};

/**
 * Jobs that stand in the queue already: plugs fill the machine while they are submitted, and the clock runs from the moment that the
 * last plug's room is free to the last `completed`, both by the record's own times.
 */
const runQueued = async (client: Client, untilEnd: (id: string) => Promise<number>): Promise<number> => {
  const plugs = await Promise.all(Array.from({ length: WIDTH }, () => submit(client, plugSpec)));
  await Promise.all(plugs.map((id) => untilRunning(client, id)));
  const ids = await Promise.all(Array.from({ length: JOBS }, () => submit(client, echoSpec)));
  const ends = ids.map(untilEnd);
  const unplugged = plugs.map(untilEnd);
  await Promise.all(plugs.map((id) => client.call('POST', `/v1/jobs/${id}/cancel`)));
  const begun = Math.max(...(await Promise.all(unplugged)));
  return (Math.max(...(await Promise.all(ends))) - begun) / 1000;
};

const untilRunning = async (client: Client, job_id: string): Promise<void> => {
  for (;;) {
    const { body } = await client.call('GET', `/v1/jobs/${job_id}`);
    if ((body as { started_at: string | null }).started_at !== null) return;
    await sleep(20);
  }
};

type Results = Record<'queued' | 'live4' | 'live8' | 'bare' | 'cli', Run[]>;

const toFigures = (results: Results, oci_runtime: string): Figure[] => {
  const rates = (name: keyof Results) => results[name].map((run) => run.jobs_per_second);
  const ratio = (name: string, of: keyof Results, to: keyof Results, at_least?: number): Figure => ({
    name,
    value: medianRatio(rates(of), rates(to)),
    unit: '×',
    ...(at_least === undefined ? {} : { target: { at_least } }),
    rounds: rates(of).map((rate, i) => rate / (rates(to)[i] ?? Number.NaN)),
  });
  const label = {
    queued: 'pre-queued',
    live4: 'live, 4 clients',
    live8: 'live, 8 clients',
    bare: 'bare dockerode loop',
    cli: 'xargs docker run',
  };
  const absolutes = (Object.keys(label) as (keyof Results)[]).map((name): Figure => {
    const cpu = median(results[name].map((run) => run.cpu_ms));
    const own = median(results[name].map((run) => run.own_cpu_ms));
    const share = name === 'bare' || name === 'cli' ? '' : `, of it API + worker + Redis ${own.toFixed(1)}`;
    return {
      name: label[name],
      value: median(rates(name)),
      unit: 'jobs/s',
      rounds: rates(name),
      note: `CPU ms/job ${cpu.toFixed(0)}${share}`,
    };
  });
  return [
    ratio('pre-queued / bare loop', 'queued', 'bare', 0.95),
    ratio('live (4 clients) / bare loop', 'live4', 'bare', 0.9),
    ratio('live (8 clients) / bare loop', 'live8', 'bare'),
    ratio('pre-queued / xargs docker run', 'queued', 'cli', CLI_TARGETS[oci_runtime]),
    ratio('live (4 clients) / xargs docker run', 'live4', 'cli', CLI_TARGETS[oci_runtime]),
    ...absolutes,
  ];
};

/** Jobs a second of `echo hi`, each in a fresh hardened container. */
export const benchContainers = async ({
  broker,
  docker,
  dockerHost,
  folder,
  rounds,
  ociRuntime,
  cpuGroup,
}: Bench): Promise<Section> => {
  await broker.clear();
  const choices = {
    ...(await describeEngine(docker, { probe_image: IMAGE, oci_runtime: ociRuntime })),
    egress_network: undefined,
  };
  const env = {
    REDIS_URL: broker.url,
    BERTH_PREFIX: PREFIX,
    BERTH_CPUS: String(WORKER_CPUS),
    DOCKER_HOST: dockerHost,
    ...(ociRuntime === undefined ? {} : { BENCH_OCI_RUNTIME: ociRuntime }),
  };
  const api = await openApi({ folder, env });
  const worker = await openWorker(
    { folder, env },
    ociRuntime === undefined ? undefined : 'bench/dist/pinned-worker.js',
  );
  const client = createClient(api.port);
  const store = createStore(broker.redis, PREFIX);
  const installation = await store.readInstallation();
  const feed = await openEventFeed(openRedis(broker.url, 'blocking'), store.keys);
  try {
    const untilEnd = createEnds(feed);
    const pids = [api.pid, worker.pid, broker.pid];
    const run = (count: number, work: () => Promise<number>) => async (): Promise<Run> => {
      await untilQuiet(docker, installation);
      return measure({ count, pids, cpuGroup }, work);
    };
    const variants = {
      queued: run(JOBS, () => runQueued(client, untilEnd)),
      live4: run(JOBS, () => runLive(client, WIDTH)),
      live8: run(JOBS, () => runLive(client, 2 * WIDTH)),
      bare: run(JOBS, () => runBareLoop(docker, choices, JOBS)),
      cli: run(CLI_JOBS, () => runDockerCli(dockerHost, CLI_JOBS)),
    };
    await runRounds(variants, 1);
    const results = await runRounds(variants, rounds);
    return {
      title: `containers (${choices.oci_runtime})`,
      setting: `echo hi, ${WIDTH} at once, hardened as a job's, ${JOBS} a round (docker run: ${CLI_JOBS}, the engine's default runtime), ${rounds} rounds; CPU is ${cpuGroup === undefined ? "the whole machine's" : `that of ${cpuGroup}`}`,
      figures: toFigures(results, choices.oci_runtime),
    };
  } finally {
    client.close();
    await feed.close();
    await worker.stop();
    await api.stop();
  }
};
