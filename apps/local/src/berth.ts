import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type Docker from 'dockerode';
import { openProgram, type Programs, toChildEnv, toPrograms, toRunDir, waitForApi } from './berth-processes.js';
import { brokerNeedsEngine, openBroker } from './broker.js';
import type { Config } from './config.js';
import { openDocker } from './docker-client.js';
import { openEngine } from './engine.js';
import { runFirstJob, toHints } from './first-job.js';
import { createHolder, type Held, type Holder } from './holder.js';
import { ensureImage } from './image.js';
import { openLock } from './lock.js';
import { checkPortIsFree } from './port.js';
import { endProcess, killProcess, readLeftovers } from './process-record.js';

export interface Berth {
  /** Returns once the first job has been told about. Throws a LocalError where this machine lacks something. */
  start(): Promise<void>;
  /** Stops all of it, the last started first. Twice is once. */
  stop(): Promise<void>;
  kill(): void;
}

/**
 * `stop` may come at any moment of `start`. It waits for the step under way, which ends by itself, takes down what that
 * step and the ones before it brought up, and no later step begins.
 */
export const createBerth = (
  config: Config,
  say: (line: string) => void,
  programs = toPrograms(config.repoRoot),
): Berth => {
  const holder = createHolder(say);
  let starting: Promise<void> = Promise.resolve();
  let stopped: Promise<void> | undefined;
  return {
    start: () => {
      starting = bringUp(config, holder, { say, programs });
      return starting;
    },
    stop: () => {
      stopped ??= holder.release(starting);
      return stopped;
    },
    kill: holder.kill,
  };
};

interface Terms {
  say: (line: string) => void;
  programs: Programs;
}

/**
 * Everything one machine needs, in the order in which it is needed. The engine comes before the broker where no server is
 * here yet: a redis-server is installed with the engine, or the broker is a container. Otherwise the broker and the API
 * start beside it, because an engine takes most of a second. The worker is the last to start and the first to stop: it
 * hands its jobs back while all that it needs is there. The reaper is there before it and after it.
 */
const bringUp = async (config: Config, holder: Holder, terms: Terms): Promise<void> => {
  const { say } = terms;
  await holder.hold(() => openFolder(config, say));
  const leftover = await stopLeftovers(config.dataDir, say);
  await checkPorts(config);
  const openApi = async (docker: Docker | undefined) => {
    const broker = await holder.hold(() => openBroker({ ...config, docker, say }));
    noteBroker(config.dataDir, broker.url);
    await holder.hold(() => openChild('api', toChildEnv(config, { redisUrl: broker.url }), { ...terms, ...config }));
    return broker;
  };
  const [engine, early] = await both(
    holder.hold(() => openEngine({ ...config, say, leftover })),
    brokerNeedsEngine(config) ? undefined : openApi(undefined),
  );
  const docker = openDocker(engine.host);
  const { url: redisUrl } = early ?? (await openApi(docker));
  holder.stopping.throwIfAborted();
  await ensureImage(docker, { ...config, say });
  const env = toChildEnv(config, { redisUrl, dockerHost: engine.host });
  for (const name of ['reaper', 'worker'] as const)
    await holder.hold(() => openChild(name, env, { ...terms, ...config }));
  await greet(config, holder.stopping, say);
};

/** For `npm run key`. The URL may hold a password. */
const noteBroker = (dataDir: string, url: string): void => {
  const path = join(dataDir, 'broker');
  rmSync(path, { force: true });
  writeFileSync(path, `${url}\n`, { mode: 0o600 });
};

const openChild = (
  name: keyof Programs,
  env: NodeJS.ProcessEnv,
  { programs, dataDir, say }: Terms & { dataDir: string },
): Held => {
  const program = openProgram(name, programs[name], { env, dataDir, say });
  return { close: program.stop, kill: program.kill };
};

const greet = async (config: Config, stopping: AbortSignal, say: (line: string) => void): Promise<void> => {
  const base = toBase(config.host, config.port);
  const worker = toBase(config.workerHost, config.workerPort);
  await waitForApi(base, config.dataDir, () => stopping.aborted);
  stopping.throwIfAborted();
  say(`API: ${base}, worker: ${worker}, logs: ${config.dataDir}/logs`);
  await runFirstJob(base, say, stopping);
  say(toHints(base));
};

/** Waits for both even where one fails: what the other brings up has to be taken down. */
const both = async <A, B>(first: Promise<A>, second: Promise<B> | undefined): Promise<[A, B | undefined]> => {
  const [a, b] = await Promise.allSettled([first, second]);
  if (a.status === 'rejected') throw a.reason;
  if (b.status === 'rejected') throw b.reason;
  return [a.value, b.value];
};

const openFolder = (config: Config, say: (line: string) => void): Held => {
  const lock = openLock(config.dataDir);
  mkdirSync(toRunDir(config.dataDir), { recursive: true });
  if (lock.recovered) say('The last npm start was killed before it could stop; taking over what it left.');
  return { close: async () => lock.release(), kill: lock.release };
};

const checkPorts = async (config: Config): Promise<void> => {
  const { host, port, workerHost, workerPort } = config;
  await checkPortIsFree({ host, port, variable: 'BERTH_PORT', purpose: 'the API' });
  await checkPortIsFree({ host: workerHost, port: workerPort, variable: 'BERTH_WORKER_PORT', purpose: 'the worker' });
};

/**
 * Returns the dockerd among them: the containers on it are worth keeping. The worker is killed and not told to stop, for it
 * would end its containers: ours, which comes next, adopts them.
 */
const stopLeftovers = async (dataDir: string, say: (line: string) => void) => {
  const leftovers = readLeftovers(dataDir);
  for (const name of ['worker', 'reaper', 'api', 'redis']) {
    const record = leftovers.get(name);
    if (!record) continue;
    say(`Stopping the ${name} that it left running (process ${record.pid}) …`);
    await (name === 'worker' ? killProcess(record) : endProcess(record, 15_000));
  }
  return leftovers.get('dockerd');
};

/** An address of the machine itself, where the program listens on all of them. */
const toBase = (bound: string, port: number): string => {
  const host = ['0.0.0.0', '::'].includes(bound) ? '127.0.0.1' : bound;
  return `http://${host.includes(':') ? `[${host}]` : host}:${port}`;
};
