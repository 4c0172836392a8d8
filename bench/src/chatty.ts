import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Bench } from './bench.js';
import { type Api, openApi, openWorker } from './berth.js';
import { type Client, createClient, submit, waitForEnd } from './client.js';
import { IMAGE } from './echo-job.js';
import type { Figure, Section } from './figure.js';
import { readProcessCpu, readRss } from './machine.js';
import type { Program } from './program.js';
import { percentile } from './statistics.js';
import { getBytes, timeFirstBytes } from './transfer.js';

const MIB = 1024 * 1024;
const ONE_MIB = 256;
const CHATTY_JOBS = 50;
const CHATTY_MIB = 8;
const LONG_MIB = 1024;
const LONG_CPUS = 0.2;
const LOOKS = 10;

interface Rig {
  api: Api;
  worker: Program;
  client: Client;
}

/** So many MiB of lines of 64 bytes, as fast as the image's tools write them. */
const toCommand = (mib: number): string =>
  `yes 'a line of output that is sixty-four bytes long, with its end...' | head -c ${mib * MIB}`;

const readKept = ({ api }: Rig, job_id: string): Promise<number> =>
  getBytes({ port: api.port, path: `/v1/jobs/${job_id}/logs` });

const requireWhole = async (rig: Rig, job_id: string, mib: number): Promise<void> => {
  const kept = await readKept(rig, job_id);
  if (kept !== mib * MIB) throw new Error(`of ${mib * MIB} bytes of output ${kept} were kept`);
};

interface Written {
  job_id: string;
  seconds: number;
}

const runChatty = async ({ client }: Rig, mib: number, cpus: number): Promise<Written> => {
  const spec = { image: IMAGE, command: toCommand(mib), cpus, memory_mb: 128, timeout_seconds: 600 };
  const job_id = await submit(client, spec);
  const job = (await waitForEnd(client, job_id)) as unknown as {
    state: string;
    started_at: string;
    finished_at: string;
  };
  if (job.state !== 'completed') throw new Error(`a chatty job ended ${job.state}`);
  return { job_id, seconds: (Date.parse(job.finished_at) - Date.parse(job.started_at)) / 1000 };
};

const measureOne = async (rig: Rig): Promise<Figure[]> => {
  const before = readProcessCpu([rig.worker.pid]);
  const { job_id, seconds } = await runChatty(rig, ONE_MIB, 1);
  const cpu = readProcessCpu([rig.worker.pid]) - before;
  const kept = (await readKept(rig, job_id)) / MIB;
  const share = `${((100 * kept) / ONE_MIB).toFixed(0)} % of its ${ONE_MIB} MiB: the engine holds two files of 32 MB`;
  return [
    { name: 'one chatty job, kept', value: kept / seconds, unit: 'MiB/s', note: share },
    { name: 'CPU of the worker, by what is kept', value: cpu / kept, unit: 'ms/MiB' },
  ];
};

const measureMany = async (rig: Rig): Promise<Figure> => {
  const begun = performance.now();
  const written = await Promise.all(Array.from({ length: CHATTY_JOBS }, () => runChatty(rig, CHATTY_MIB, 0.04)));
  const seconds = (performance.now() - begun) / 1000;
  let kept = 0;
  for (const { job_id } of written) kept += (await readKept(rig, job_id)) / MIB;
  const share = ((100 * kept) / (CHATTY_JOBS * CHATTY_MIB)).toFixed(1);
  return {
    name: `${CHATTY_JOBS} chatty jobs at once, ${CHATTY_MIB} MiB each, kept`,
    value: kept / seconds,
    unit: 'MiB/s',
    note: `${share} %, from the first submission to the last end`,
  };
};

const measureLong = async (rig: Rig): Promise<Figure[]> => {
  // Slow enough for every byte to be read before the engine throws it away.
  const { job_id } = await runChatty(rig, LONG_MIB, LONG_CPUS);
  const path = `/v1/jobs/${job_id}/logs`;
  const answers: number[] = [];
  for (let i = 0; i < LOOKS; i += 1) answers.push(await timeFirstBytes({ port: rig.api.port, path }));
  const tails: number[] = [];
  for (let i = 0; i < LOOKS; i += 1) tails.push(await timeFirstBytes({ port: rig.api.port, path: `${path}?tail=10` }));
  const before = readRss(rig.api.pid);
  await requireWhole(rig, job_id, LONG_MIB);
  return [
    {
      name: 'GET of a log of 1 GiB → first bytes, p95',
      value: percentile(answers, 0.95),
      unit: 'ms',
      target: { at_most: 100 },
      rounds: answers,
    },
    { name: 'its last 10 lines → first bytes, p95', value: percentile(tails, 0.95), unit: 'ms', rounds: tails },
    { name: 'RSS of the API after reading it whole', value: readRss(rig.api.pid) - before, unit: 'MiB more' },
  ];
};

/** Jobs that write much. */
export const benchLogs = async ({ broker, folder, dockerHost }: Bench): Promise<Section> => {
  await broker.clear();
  const data = join(folder, 'log-files');
  mkdirSync(data);
  const env = {
    REDIS_URL: broker.url,
    BERTH_PREFIX: 'bench-logs',
    BERTH_FILES: data,
    BERTH_CPUS: '2',
    BERTH_LOG_LIMIT_BYTES: String(2 * LONG_MIB * MIB),
    DOCKER_HOST: dockerHost,
  };
  const api = await openApi({ folder, env });
  const worker = await openWorker({ folder, env });
  const rig = { api, worker, client: createClient(api.port) };
  try {
    return {
      title: 'logs',
      setting: 'lines of 64 bytes from one job with a CPU, then from many, on the local disk; one run',
      figures: [...(await measureOne(rig)), await measureMany(rig), ...(await measureLong(rig))],
    };
  } finally {
    rig.client.close();
    await worker.stop();
    await api.stop();
  }
};
