import type { Gpu, NodePlace, ResourceClass, Resources } from '@berth/domain';
import { createWorkerMetrics, type WorkerMetrics } from '@berth/metrics';
import {
  type Channels,
  createKeys,
  createStore,
  type FileStore,
  openChannels,
  openFiles,
  openRedis,
  readFileSecret,
  requireSafeBroker,
  SECRET_PATHS,
  type Store,
} from '@berth/store';
import type { Redis } from 'ioredis';
import { type Logger, pino } from 'pino';
import type { AttemptContext } from './attempt.js';
import { toCapacity, toServedClasses } from './capacity.js';
import type { WorkerConfig } from './config.js';
import { createEngineGate, type EngineGate } from './engine-gate.js';
import { notingUses } from './image-upkeep.js';
import { findGpus, isHere } from './inventory.js';
import { createLeaseNote, type NoteLease } from './lease-file.js';
import { keepLeases, type Leases } from './leases.js';
import { createOutputBudget } from './output-budget.js';
import { isAnswering } from './own-containers.js';
import { createPastGate, type PastGate } from './past-gate.js';
import { createRoom, type Room } from './room.js';
import type { ContainerRuntime, EngineInfo } from './runtime/container-runtime.js';
import { createDockerRuntime } from './runtime/docker/docker-runtime.js';

/** Everything that a worker is made of, built in order. `close` takes it apart in reverse. */
export interface WorkerContext {
  config: WorkerConfig;
  log: Logger;
  redis: Redis;
  store: Store;
  files: FileStore;
  channels: Channels;
  runtime: ContainerRuntime;
  engine: EngineInfo;
  node: string;
  place: NodePlace & { gpus: Gpu[] };
  capacity: Resources;
  served: ResourceClass[];
  leases: Leases;
  room: Room;
  gate: EngineGate;
  pastGate: PastGate;
  /** For the reaper of this machine. */
  noteLease: NoteLease;
  metrics: WorkerMetrics;
  attempts: AttemptContext;
  close(): Promise<void>;
}

/** Parts that tests put in place of the real ones. */
export interface Overrides {
  runtime?: ContainerRuntime;
  installation?: string;
  log?: Logger;
  room?: Room;
}

const openConnection = (config: WorkerConfig, use: 'steady' | 'blocking', log: Logger): Redis => {
  const redis = openRedis(config.redisUrl, use);
  redis.on('error', (err) => log.warn({ err: { message: err.message } }, 'the broker does not answer'));
  return redis;
};

/** Throws UnsafeBrokerError. */
const openSafeConnection = async (config: WorkerConfig, log: Logger): Promise<Redis> => {
  const redis = openConnection(config, 'steady', log);
  await requireSafeBroker(redis).catch((error) => {
    redis.disconnect();
    throw error;
  });
  return redis;
};

export const createLog = ({ logLevel, worker }: WorkerConfig): Logger =>
  pino({ level: logLevel, base: { service: 'worker', worker }, redact: { paths: SECRET_PATHS, remove: true } });

const toPlace = async (config: WorkerConfig, node: string, log: Logger): Promise<NodePlace & { gpus: Gpu[] }> => {
  const { labels, region, datacenter, fakeGpus, dockerHost } = config;
  const gpus = fakeGpus ?? (isHere(dockerHost) ? await findGpus(log) : []);
  return { node, labels, region, datacenter, gpus };
};

const createRuntime = ({ dockerHost, defaultImage, pullTimeoutSeconds }: WorkerConfig, installation: string) =>
  createDockerRuntime({
    installation,
    engine: dockerHost,
    probe_image: defaultImage,
    pull_limit_ms: pullTimeoutSeconds * 1000,
  });

const toLeaseNote = (
  { runDir }: WorkerConfig,
  whose: { installation: string; engine: string },
  log: Logger,
): NoteLease => (runDir ? createLeaseNote(runDir, whose, log) : () => undefined);

type AttemptParts = Pick<AttemptContext, 'runtime' | 'leases' | 'node' | 'installation' | 'onEngineFault'> & {
  store: Store;
  files: FileStore;
};

const toAttemptContext = (
  config: WorkerConfig,
  { store, files, ...parts }: AttemptParts,
  log: Logger,
): AttemptContext => ({
  ...parts,
  claims: store.claims,
  logs: store.logs,
  logLimitBytes: config.logLimitBytes,
  outputBudget: createOutputBudget(),
  jobFiles: { files, uploads: store.uploads, limits: config.outputLimits },
  profileOf: (name) => config.classes.find((c) => c.name === name)?.profile ?? 'strict',
  fakeGpus: config.fakeGpus !== undefined,
  log: log.child({ node: parts.node }),
});

/** The deepest wait in here is for the engine and the broker to answer. */
export const openWorkerContext = async (config: WorkerConfig, overrides: Overrides = {}): Promise<WorkerContext> => {
  const log = overrides.log ?? createLog(config);
  const redis = await openSafeConnection(config, log);
  const files = await openFiles(config.filesPlace, () => readFileSecret(redis, createKeys(config.prefix)));
  const store = createStore(redis, config.prefix, files);
  const channels = openChannels(openConnection(config, 'blocking', log));
  await store.upgrade();
  const installation = overrides.installation ?? (await store.readInstallation());
  const runtime = overrides.runtime ?? createRuntime(config, installation);
  const engine = await runtime.describe();
  const node = config.node ?? engine.name;
  const place = await toPlace(config, node, log);
  const capacity = toCapacity(engine, config, place.gpus);
  const leases = keepLeases(store.claims, log);
  const gate = createEngineGate(async () => (await isAnswering(runtime)) && runtime.isFit(), log);
  const metrics = createWorkerMetrics();
  const noting = notingUses(runtime, store.images, { engine: engine.id, now: Date.now });
  const parts = { runtime: noting, store, files, leases, node, installation, onEngineFault: gate.failed };
  const attempts = toAttemptContext(config, parts, log);
  return {
    config,
    log,
    redis,
    store,
    files,
    channels,
    runtime,
    engine,
    node,
    place,
    capacity,
    served: toServedClasses(config.classes, capacity),
    leases,
    room: overrides.room ?? createRoom(),
    gate,
    pastGate: createPastGate(store.keys.wentBack, metrics.brokerWentBack, log),
    noteLease: toLeaseNote(config, { installation, engine: engine.id }, log),
    metrics,
    attempts,
    async close() {
      leases.close();
      await runtime.close();
      await channels.close();
      await files.close();
      redis.disconnect();
    },
  };
};
