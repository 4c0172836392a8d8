import { randomBytes } from 'node:crypto';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, realpathSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { createStore, openLocalFiles, type Store } from '@berth/store';
import type { Report } from '@berth/verify';
import type Docker from 'dockerode';
import { findPort, until } from '../harness.js';
import { type Api, type Client, createClient } from './client.js';
import { type Engine, openEngine } from './engine.js';
import { openEventRecorder } from './events.js';
import { type Keeper, openKeeper } from './keeper.js';
import { type Ledger, openLedger } from './ledger.js';
import { createProgram, type Program } from './program.js';
import { chooseSeed, createRandom, type Random } from './random.js';
import { openRedisServer, type RedisOptions, type RedisServer, toDiskScript } from './redis.js';
import { GROUND } from './space.js';
import { createCheck, createVerifier, type VerifyWorld } from './verify-world.js';
import { openWorker, programPath, type Worker } from './worker.js';

export interface WorldOptions {
  /** Default: 2. */
  apis?: number;
  /** Default: 3. They share the engines in turn. */
  workers?: number;
  /** Default: 1. */
  engines?: 1 | 2;
  redis?: RedisOptions;
  /** The data of each engine lies on a disk of its own of so many MiB. */
  engine_disk_mb?: number;
  /** Default: off, as in Docker. */
  liveRestore?: boolean;
  /** Whatever dies is started again by itself, with back-off. */
  supervised?: boolean;
  /** The reaper beside each engine. */
  reapers?: boolean;
  /** For APIs and workers. */
  env?: Record<string, string>;
  /** Default: `SEED`, or a new one. */
  seed?: number;
}

/**
 * A whole Berth whose every part can be killed: API replicas, workers, Redis and engines of its own, in a folder and in namespaces
 * of its own. Nothing of it is left after `close`, nor after the death of the process that opened it.
 */
export interface World extends Client {
  seed: number;
  random: Random;
  folder: string;
  /** For processes of a scenario's own. */
  keeper: Keeper;
  prefix: string;
  apis: Api[];
  workers: Worker[];
  engines: Engine[];
  reapers: Program[];
  redis: RedisServer;
  store: Store;
  ledger: Ledger;
  /** Berth's containers on all engines, running or not. */
  containers(job_id?: string): Promise<Docker.ContainerInfo[]>;
  /** The worker that owns the running job. Waits until there is one. */
  ownerOf(job_id: string): Promise<Worker>;
  /** Mends every wire and proxy, wakes what is stopped, and starts what does not run. */
  heal(): Promise<void>;
  /** Throws where an invariant is violated. Waits first until the system is at rest, unless told otherwise. */
  verify(options?: VerifyWorld): Promise<void>;
  /** The same, and throws nothing. */
  check(options?: VerifyWorld): Promise<Report>;
  close(): Promise<void>;
}

const LEDGER_ADDRESS = `ip addr add ${GROUND}/32 dev lo`;

export const openWorld = async (options: WorldOptions = {}): Promise<World> => {
  const seed = options.seed ?? chooseSeed();
  const folder = realpathSync(mkdtempSync(join(tmpdir(), 'bw-')));
  const keeper = openKeeper(folder);
  const closing: (() => unknown)[] = [];
  try {
    const parts = await openParts(options, { folder, keeper, closing });
    return toWorld(parts, { seed, folder, keeper, closing });
  } catch (error) {
    for (const step of closing.reverse()) await step();
    await keeper.close().catch(() => undefined);
    throw error;
  }
};

interface Place {
  folder: string;
  keeper: Keeper;
  closing: (() => unknown)[];
}

const openParts = async (options: WorldOptions, place: Place) => {
  const { folder, keeper, closing } = place;
  const {
    apis = 2,
    workers = 3,
    engines = 1,
    redis: redisOptions = {},
    liveRestore = false,
    supervised = false,
  } = options;
  const prefix = `faults-${randomBytes(3).toString('hex')}`;
  const openEngineNumber = (i: number) => {
    const script = [LEDGER_ADDRESS, ...(i === 0 ? [toDiskScript(folder, redisOptions)] : [])].join('; ');
    return openEngine({ name: `engine-${i}`, folder, keeper, liveRestore, script, disk_mb: options.engine_disk_mb });
  };
  const opened = await Promise.all(Array.from({ length: engines }, (_, i) => openEngineNumber(i)));
  const ground = (opened[0] as Engine).space;
  const enginesUp = Promise.all(opened.map((engine) => engine.start()));
  enginesUp.catch(() => undefined);
  const redis = await openRedisServer({ folder, keeper, ground }, redisOptions);
  closing.push(() => redis.client.disconnect());
  await redis.client.set(`${prefix}:installation`, prefix);
  const files = { accepted: join(folder, 'accepted'), observed: join(folder, 'observed') };
  const events = join(folder, 'events');
  const objects = await openLocalFiles(join(folder, 'files'));
  closing.push(objects.close);
  const quiet = { BERTH_WORKER_PORT: '0', BERTH_LOG_LEVEL: 'info' };
  const env = { BERTH_PREFIX: prefix, BERTH_FILES: join(folder, 'files'), ...quiet, ...options.env };
  const spaces = opened.map((engine) => engine.space);
  const apisUp = Promise.all([
    openLedger({ folder, keeper, spaces }),
    ...Array.from({ length: apis }, (_, i) => openApi(i, { folder, keeper, env: { ...env, REDIS_URL: redis.url } })),
  ]);
  apisUp.catch(() => undefined);
  await enginesUp;
  const recorders = opened.map(({ docker }, i) => openEventRecorder(docker, { engine: `engine-${i}`, file: events }));
  closing.push(() => {
    for (const recorder of recorders) recorder.close();
  });

  const startWorker = async (i: number) => {
    const engine = opened[i % engines] as Engine;
    const named = engines === 1 ? env : { BERTH_NODE: `node-${i % engines}`, ...env };
    const worker = await openWorker(i, { folder, keeper, ground, redis, engine, env: named });
    closing.push(worker.slow.close, worker.proxy.close);
    await worker.start();
    return worker;
  };
  const started = await Promise.all(Array.from({ length: workers }, (_, i) => startWorker(i)));
  const [ledger, ...rest] = await apisUp;
  const reapers = options.reapers ? opened.map((engine, i) => createReaper(i, engine, { folder, keeper, env })) : [];
  await Promise.all(reapers.map((reaper) => reaper.start()));
  const programs = [...rest, ...started, ...reapers, redis.program];
  for (const program of programs) program.supervise(supervised);
  closing.push(() => {
    for (const program of programs) program.supervise(false);
  });
  return {
    apis: rest,
    workers: started,
    engines: opened,
    reapers,
    redis,
    objects,
    ledger,
    recorders,
    prefix,
    files,
    events,
  };
};

type ProgramPlace = { folder: string; keeper: Keeper; env: Record<string, string> };

const openApi = async (i: number, place: ProgramPlace): Promise<Api> => {
  const port = await findPort();
  const url = `http://127.0.0.1:${port}`;
  const program = createProgram({
    ...place,
    name: `api-${i}`,
    command: process.execPath,
    args: [programPath('apps/api/dist/main.js')],
    env: { ...place.env, BERTH_PORT: String(port) },
    isReady: async () => (await fetch(`${url}/ready`)).ok,
  });
  await program.start();
  return Object.assign(program, { url });
};

const createReaper = (i: number, engine: Engine, place: ProgramPlace): Program =>
  createProgram({
    ...place,
    name: `reaper-${i}`,
    command: process.execPath,
    args: [programPath('apps/worker/dist/reaper-main.js')],
    env: { ...place.env, DOCKER_HOST: engine.host, BERTH_RUN_DIR: engine.runDir },
    isReady: (output) => output.includes('reaper ready'),
  });

type Parts = Awaited<ReturnType<typeof openParts>>;

const toWorld = (parts: Parts, place: Place & { seed: number }): World => {
  const { apis, workers, engines, reapers, redis, ledger, prefix, files } = parts;
  const store = createStore(redis.client, prefix, parts.objects);
  const listContainers = async (job_id?: string): Promise<Docker.ContainerInfo[]> => {
    const label = [`berth.installation=${prefix}`, ...(job_id === undefined ? [] : [`berth.job=${job_id}`])];
    const found = engines.map(({ docker }) => docker.listContainers({ all: true, filters: JSON.stringify({ label }) }));
    return (await Promise.all(found)).flat();
  };
  return {
    ...createClient(apis, files),
    seed: place.seed,
    random: createRandom(place.seed),
    folder: place.folder,
    keeper: place.keeper,
    prefix,
    apis,
    workers,
    engines,
    reapers,
    redis,
    store,
    ledger,
    containers: listContainers,
    ownerOf: (job_id) =>
      until(`an owner of ${job_id}`, async () => {
        const owner = await redis.client.hget(store.keys.job(job_id), 'owner');
        return workers.find((worker) => worker.alive && worker.id() === owner);
      }),
    heal: () => heal(parts),
    verify: createVerifier({ ...parts, store, seed: place.seed, containers: listContainers }),
    check: createCheck({ ...parts, store, seed: place.seed, containers: listContainers }),
    close: () => close(parts, place),
  };
};

const heal = async ({ redis, engines, apis, workers, reapers }: Parts): Promise<void> => {
  const programs = [redis.program, ...engines.map((engine) => engine.program), ...apis, ...workers, ...reapers];
  for (const program of programs) program.kill('SIGCONT');
  redis.freeDisk();
  for (const { disk } of engines) disk.free();
  for (const { proxy, slow } of workers) {
    proxy.clear();
    proxy.heal();
    slow.delay_ms = 0;
  }
  await Promise.all([
    redis.start(),
    ...engines.map((engine) => engine.start()),
    ...workers.map(({ link }) => link.heal()),
  ]);
  await Promise.all([...apis, ...workers, ...reapers].map((program) => program.start()));
};

const CLOSE_LIMIT_MS = 5_000;

/** Nobody is asked to stop in order: what is worth keeping has been looked at. Containers go first, while their engine can remove them. */
const close = async ({ engines, apis, workers, reapers, recorders }: Parts, place: Place): Promise<void> => {
  for (const program of [...apis, ...workers, ...reapers]) {
    program.supervise(false);
    program.kill('SIGKILL');
  }
  for (const recorder of recorders) recorder.close();
  for (const { disk } of engines) disk.free();
  const limit = new Promise((resolve) => setTimeout(resolve, CLOSE_LIMIT_MS).unref());
  const removed = Promise.all(engines.map(({ docker }) => removeContainers(docker))).catch(() => undefined);
  await Promise.race([removed, limit]);
  for (const step of place.closing.reverse()) await step();
  keepOutputs(place.folder);
  await place.keeper.close();
};

/** What the processes said, for whoever looks into a failure: into the folder that BERTH_FAULTS_KEEP names. */
const keepOutputs = (folder: string): void => {
  const kept = process.env.BERTH_FAULTS_KEEP;
  if (!kept) return;
  const target = join(kept, basename(folder));
  mkdirSync(target, { recursive: true });
  for (const name of readdirSync(folder, { recursive: true, encoding: 'utf8' }))
    if (/\.out$|(^|\/)(events|ledger|accepted|observed)$/.test(name))
      cpSync(join(folder, name), join(target, basename(name)));
};

const removeContainers = async (docker: Docker): Promise<void> => {
  const found = await docker.listContainers({ all: true });
  await Promise.all(found.map(({ Id }) => docker.getContainer(Id).remove({ force: true })));
};
