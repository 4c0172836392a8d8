import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { createStore } from '@berth/store';
import type Docker from 'dockerode';
import type { Bench } from './bench.js';
import { openApi, openWorker } from './berth.js';
import { type Client, createClient, submit, waitForEnd } from './client.js';
import { type DeathNotices, openDeathNotices } from './death-notices.js';
import { echoSpec, WORKER_CPUS } from './echo-job.js';
import { type EngineProxy, openEngineProxy } from './engine-proxy.js';
import type { Figure, Section } from './figure.js';
import { percentile } from './statistics.js';

const PREFIX = 'bench-latency';
const SAMPLES = 150;
const WARM_UP = 10;
/** Between two jobs, once the last one's container is gone. */
const PAUSE_MS = 60;

interface Sample {
  /** From the answer's arrival to the create call; below zero where the call was first. */
  to_create_ms: number;
  to_answer_ms: number;
  /** Of it, what passed before the engine answered an inspect. */
  engine_ms: number;
  whole_ms: number;
}

/** Unix milliseconds with a fraction, by the clock that the engine uses too. */
const now = (): number => performance.timeOrigin + performance.now();

const takeSample = async (client: Client, proxy: EngineProxy, notices: DeathNotices): Promise<Sample> => {
  const begun = performance.now();
  const job_id = await submit(client, echoSpec);
  const answered = performance.now();
  const job = await waitForEnd(client, job_id);
  const told = now();
  if (job.state !== 'completed') throw new Error(`a job ended ${job.state}: ${job.cause}`);
  const death = await within("the container's death", notices.whenDead(job_id));
  return {
    to_create_ms: (await within('the create call', proxy.whenCreated(job_id))) - answered,
    to_answer_ms: told - death.at,
    engine_ms: death.shown_at - death.at,
    whole_ms: performance.now() - begun,
  };
};

/** The last job's clean-up is over. */
const untilGone = async (docker: Docker, installation: string): Promise<void> => {
  const filters = { label: [`berth.installation=${installation}`] };
  while ((await docker.listContainers({ all: true, filters })).length > 0) await sleep(10);
};

const LOST_MS = 10_000;

/** A sample whose sign never came must end the benchmark, not hang it. */
const within = async <T>(what: string, work: Promise<T>): Promise<T> => {
  const late = sleep(LOST_MS, undefined, { ref: false }).then(() => {
    throw new Error(`${what} was not seen within ${LOST_MS / 1000} s`);
  });
  return Promise.race([work, late]);
};

const toFigures = (samples: Sample[]): Figure[] => {
  const figure = (name: string, field: keyof Sample, share: number, at_most?: number): Figure => ({
    name: `${name}, p${share * 100}`,
    value: percentile(
      samples.map((sample) => sample[field]),
      share,
    ),
    unit: 'ms',
    ...(at_most === undefined ? {} : { target: { at_most } }),
  });
  return [
    figure('POST answered → create call sent', 'to_create_ms', 0.5, 10),
    figure('POST answered → create call sent', 'to_create_ms', 0.99, 50),
    figure('container dead → ?wait answered', 'to_answer_ms', 0.5, 15),
    figure('container dead → ?wait answered', 'to_answer_ms', 0.95, 40),
    figure('of it, until the engine shows the end', 'engine_ms', 0.5),
    figure('of it, until the engine shows the end', 'engine_ms', 0.95),
    figure('POST sent → ?wait answered', 'whole_ms', 0.5),
    figure('POST sent → ?wait answered', 'whole_ms', 0.95),
  ];
};

/** What Berth adds before and after a container on an idle system. */
export const benchLatency = async ({ broker, docker, dockerHost, folder }: Bench): Promise<Section> => {
  if (!dockerHost.startsWith('unix://')) throw new Error('the latency benchmark needs an engine on a unix socket');
  await broker.clear();
  const proxy = await openEngineProxy(dockerHost.slice('unix://'.length), join(folder, 'engine.sock'));
  const installation = await createStore(broker.redis, PREFIX).readInstallation();
  const notices = await openDeathNotices(docker, installation);
  const env = { REDIS_URL: broker.url, BERTH_PREFIX: PREFIX, BERTH_CPUS: String(WORKER_CPUS), DOCKER_HOST: proxy.host };
  const api = await openApi({ folder, env });
  const worker = await openWorker({ folder, env });
  const client = createClient(api.port);
  try {
    const samples: Sample[] = [];
    for (let i = 0; i < WARM_UP + SAMPLES; i += 1) {
      const sample = await takeSample(client, proxy, notices);
      if (i >= WARM_UP) samples.push(sample);
      await untilGone(docker, installation);
      await sleep(PAUSE_MS);
    }
    return {
      title: 'latency on an idle system',
      setting: `${SAMPLES} jobs of echo hi, one after the other; the create call is seen by a proxy on the engine's socket, death is the engine's own \`die\` event, shown when an inspect sent at that event is answered`,
      figures: toFigures(samples),
    };
  } finally {
    client.close();
    notices.close();
    await worker.stop();
    await api.stop();
    await proxy.close();
  }
};
