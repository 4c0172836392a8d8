import { execFile } from 'node:child_process';
import { mkdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Bench } from './bench.js';
import { type Api, openApi, openWorker } from './berth.js';
import { createClient, submit, waitForEnd } from './client.js';
import { IMAGE } from './echo-job.js';
import type { Figure, Section } from './figure.js';
import { readRss } from './machine.js';
import { openProgram } from './program.js';
import { median, medianRatio, runRounds } from './statistics.js';
import { getBytes, putFile, writeRandomFile } from './transfer.js';

const FILE_MIB = 1024;
/** A gigabyte is written six times a round: three files are made, and each is sent or copied. */
const MOST_ROUNDS = 3;
const SMALL_FILES = 10_000;

const run = promisify(execFile);

const time = async (work: () => Promise<unknown>): Promise<number> => {
  const begun = performance.now();
  await work();
  return (performance.now() - begun) / 1000;
};

/** Another file each time: the same bytes again would be known already. */
const createFiles = (folder: string) => {
  let made = 0;
  return async (): Promise<string> => {
    made += 1;
    const path = join(folder, `file-${made}.bin`);
    await writeRandomFile(path, FILE_MIB);
    return path;
  };
};

const toTransferFigures = (results: Record<string, number[]>): Figure[] => {
  const of = (name: string): number[] => results[name] ?? [];
  const ratio = (name: string, berth: string, bare: string, at_least?: number): Figure => ({
    name,
    value: medianRatio(of(bare), of(berth)),
    unit: '×',
    ...(at_least === undefined ? {} : { target: { at_least } }),
    rounds: of(bare).map((seconds, i) => seconds / (of(berth)[i] ?? Number.NaN)),
  });
  const speed = (name: string, from: string): Figure => ({
    name,
    value: FILE_MIB / median(of(from)),
    unit: 'MiB/s',
    rounds: of(from).map((seconds) => FILE_MIB / seconds),
  });
  return [
    ratio('upload of 1 GiB / bare Node streams', 'put', 'barePut', 0.7),
    ratio('download of 1 GiB / bare Node streams', 'get', 'bareGet', 0.7),
    ratio('upload of 1 GiB / cp and fsync', 'put', 'cp'),
    speed('upload', 'put'),
    speed('download', 'get'),
    speed('bare upload', 'barePut'),
    speed('bare download', 'bareGet'),
    speed('cp and fsync', 'cp'),
  ];
};

const measureTransfers = async (api: Api, folder: string, rounds: number): Promise<Figure[]> => {
  const bare = await openProgram('bench/dist/bare-files.js', 'listening', { folder, env: {}, args: [folder] });
  const port = Number(bare.ready.port);
  const nextFile = createFiles(folder);
  const before = readRss(api.pid);
  let most = before;
  const watch = setInterval(() => {
    most = Math.max(most, readRss(api.pid));
  }, 50);
  const client = createClient(api.port);
  const upload = async (file: string): Promise<string> =>
    (JSON.parse(await putFile({ port: api.port, path: '/v1/files' }, file)) as { file_id: string }).file_id;
  const removeUpload = async (file_id: string): Promise<void> => {
    const { status } = await client.call('DELETE', `/v1/files/${file_id}`);
    if (status !== 204) throw new Error(`DELETE of an upload answered ${status}`);
  };
  const first = await nextFile();
  const kept = await upload(first);
  await putFile({ port, path: '/' }, first);
  rmSync(first);
  const requireWhole = async (read: Promise<number>): Promise<void> => {
    if ((await read) !== FILE_MIB * 1024 * 1024) throw new Error('a download was not whole');
  };
  /** The removal of what was made is not in the time. */
  const fresh = async <Made>(
    work: (file: string) => Promise<Made>,
    remove: (made: Made) => unknown = () => undefined,
  ): Promise<number> => {
    const file = await nextFile();
    const begun = performance.now();
    const made = await work(file);
    const seconds = (performance.now() - begun) / 1000;
    rmSync(file);
    await remove(made);
    return seconds;
  };
  const copy = join(folder, 'copy.bin');
  try {
    const results = await runRounds(
      {
        put: () => fresh(upload, removeUpload),
        barePut: () => fresh((file) => putFile({ port, path: '/' }, file)),
        cp: () =>
          fresh(
            (file) => run('sh', ['-c', `cp ${file} ${copy} && sync ${copy}`]),
            () => rmSync(copy),
          ),
        get: () => time(() => requireWhole(getBytes({ port: api.port, path: `/v1/files/${kept}/content` }))),
        bareGet: () => time(() => requireWhole(getBytes({ port, path: '/' }))),
      },
      Math.min(rounds, MOST_ROUNDS),
    );
    const growth: Figure = { name: 'RSS of the API, most above the start', value: most - before, unit: 'MiB' };
    return [...toTransferFigures(results), growth];
  } finally {
    clearInterval(watch);
    client.close();
    await bare.stop();
  }
};

const makeSmallFiles = `mkdir out; i=0; while [ $i -lt ${SMALL_FILES} ]; do echo "file $i" > out/$i.txt; i=$((i+1)); done`;

/** The same job with and without outputs, so that what is compared with `tar` is the keeping alone. */
const measureArtifacts = async (api: Api, folder: string, rounds: number): Promise<Figure[]> => {
  const client = createClient(api.port);
  const runJob = async (outputs: string[]): Promise<{ seconds: number; job_id: string }> => {
    const job_id = await submit(client, { image: IMAGE, command: makeSmallFiles, timeout_seconds: 300, outputs });
    const job = await waitForEnd(client, job_id);
    if (job.state !== 'completed') throw new Error(`a job ended ${job.state}: ${job.cause}`);
    const { started_at, finished_at } = job as unknown as { started_at: string; finished_at: string };
    return { seconds: (Date.parse(finished_at) - Date.parse(started_at)) / 1000, job_id };
  };
  const local = join(folder, 'small');
  mkdirSync(local);
  await run('sh', ['-c', makeSmallFiles], { cwd: local });
  let last = '';
  const results = await runRounds(
    {
      kept: async () => {
        const { seconds, job_id } = await runJob(['out/**']);
        last = job_id;
        return seconds;
      },
      // One file is kept here too, so that both run in the same kind of workspace.
      unkept: async () => (await runJob(['out/1.txt'])).seconds,
      tar: () =>
        time(() => run('sh', ['-c', `tar -C ${local} -cf ${folder}/small.tar out && sync ${folder}/small.tar`])),
    },
    Math.min(rounds, MOST_ROUNDS),
  );
  const zip = await time(() => getBytes({ port: api.port, path: `/v1/jobs/${last}/artifacts.zip` }));
  client.close();
  return [
    {
      name: `keeping ${SMALL_FILES} small files of a job, beyond one`,
      value: median(results.kept.map((seconds, i) => seconds - (results.unkept[i] ?? 0))),
      unit: 's',
      note: `tar of the same: ${median(results.tar).toFixed(2)} s (${statSync(`${folder}/small.tar`).size >> 20} MiB)`,
    },
    { name: 'all of them as zip', value: zip, unit: 's' },
  ];
};

/** What it takes to get bytes in and out. */
export const benchFiles = async ({ broker, folder, rounds, dockerHost }: Bench): Promise<Section> => {
  await broker.clear();
  const data = join(folder, 'files');
  mkdirSync(data);
  const env = {
    REDIS_URL: broker.url,
    BERTH_PREFIX: 'bench-files',
    BERTH_FILES: data,
    BERTH_CPUS: '2',
    DOCKER_HOST: dockerHost,
  };
  const api = await openApi({ folder, env });
  const worker = await openWorker({ folder, env });
  try {
    return {
      title: 'files',
      setting: `a file of ${FILE_MIB} MiB on the local disk, ${Math.min(rounds, MOST_ROUNDS)} rounds; the bare server pipes a body into a file and syncs it, Berth also hashes and indexes it; ${SMALL_FILES} files of some ten bytes each`,
      figures: [...(await measureTransfers(api, folder, rounds)), ...(await measureArtifacts(api, folder, rounds))],
    };
  } finally {
    await worker.stop();
    await api.stop();
  }
};
