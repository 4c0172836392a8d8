import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import {
  DEFAULT_CLASSES,
  DEFAULT_PLACE,
  findConsentProblem,
  type Gpu,
  isLoopbackAddress,
  labelsSchema,
  PUBLIC_BIND_CONSENT,
  type ResourceClass,
  resourceClassesSchema,
} from '@berth/domain';
import { type FilesPlace, filesPlaceSchema, toOwnFolder, toRedisUrl } from '@berth/store';
import { z } from 'zod';
import { readGpuList } from './inventory.js';

const count = z.coerce.number().int().positive();
const place = z.string().regex(/^[^\p{Cc}\p{Cs}]{1,128}$/u, 'must be 1 to 128 printable characters');

/** Every environment variable that a worker reads; README's table says what each is for. */
const environmentSchema = z.object({
  REDIS_URL: z.string().default('redis://127.0.0.1:6379'),
  BERTH_PREFIX: z
    .string()
    .regex(/^[a-z0-9][a-z0-9:_-]{0,63}$/i)
    .default('berth'),
  BERTH_NODE: z.string().min(1).max(128).optional(),
  BERTH_LABELS: z.string().default(''),
  BERTH_REGION: place.default(DEFAULT_PLACE),
  BERTH_DATACENTER: place.default(DEFAULT_PLACE),
  BERTH_GPUS: z.string().optional(),
  BERTH_CPUS: z.coerce.number().positive().optional(),
  BERTH_MEMORY_MB: count.optional(),
  BERTH_SYSTEM_CPUS: z.coerce.number().min(0).default(0),
  BERTH_SYSTEM_MEMORY_MB: z.coerce.number().int().min(0).optional(),
  HEARTBEAT_INTERVAL: z.coerce.number().positive().optional(),
  BERTH_CLASSES_FILE: z.string().optional(),
  BERTH_DEFAULT_IMAGE: z.string().default('busybox:stable'),
  BERTH_LOG_LIMIT_BYTES: count.default(256 * 1024 * 1024),
  BERTH_MAX_OUTPUT_FILES: count.default(20_000),
  BERTH_MAX_OUTPUT_BYTES: count.default(10 * 1024 ** 3),
  BERTH_MAX_FILE_BYTES: count.default(2 * 1024 ** 3),
  BERTH_USER_FILE_BYTES: z.coerce.number().int().min(0).optional(),
  BERTH_PULL_TIMEOUT_SECONDS: count.default(600),
  BERTH_IMAGE_DISK_PERCENT: z.coerce.number().int().min(6).max(100).default(85),
  BERTH_WORKER_HOST: z.string().default('127.0.0.1'),
  BERTH_WORKER_PORT: z.coerce.number().int().min(0).max(65_535).default(8080),
  BERTH_ALLOW_PUBLIC_BIND: z.string().optional(),
  BERTH_LOG_LEVEL: z.enum(['fatal', 'error', 'warn', 'info', 'debug', 'trace']).default('info'),
  BERTH_RUN_DIR: z.string().optional(),
  BERTH_DATA_DIR: z.string().optional(),
  BERTH_FILES: filesPlaceSchema.optional(),
  BERTH_URL: z.url({ protocol: /^https?$/, error: 'must be http://host:port or https://host' }).optional(),
  DOCKER_HOST: z.string().optional(),
});

export interface WorkerConfig {
  redisUrl: string;
  prefix: string;
  /** Names this process; no two workers share one. */
  worker: string;
  /** Undefined: the engine's own name for its machine. */
  node: string | undefined;
  /** Undefined: what the engine says that the machine has. */
  cpus: number | undefined;
  memoryMb: number | undefined;
  /** Left to the system where the two above do not say what jobs may use. Undefined: a tenth of the memory. */
  systemCpus: number;
  systemMemoryMb: number | undefined;
  labels: Record<string, string>;
  region: string;
  datacenter: string;
  /** On paper only: told to jobs, never attached. Undefined: those that the machine has. */
  fakeGpus: Gpu[] | undefined;
  heartbeatMs: number;
  classes: ResourceClass[];
  defaultImage: string;
  logLimitBytes: number;
  /** How many files, and of how many bytes, are kept of an attempt. */
  outputLimits: { files: number; bytes: number };
  /** Of one file that is sent to the worker's port, and of all uploads of its user. Undefined: no limit. */
  maxFileBytes: number;
  uploadQuotaBytes: number | undefined;
  /** How long the download of an image may take. */
  pullTimeoutSeconds: number;
  /** Where the engine's disk is fuller than that, images that jobs have not used for long are removed. 100: none ever is. */
  imageDiskPercent: number;
  host: string;
  /** 0: none. */
  port: number;
  /** Bound to loopback: only requests that name a loopback host are answered. */
  loopbackOnly: boolean;
  /** Whoever reaches the port is the local user until the first API key is made: so it was said in so many words. */
  openWithoutKeys: boolean;
  logLevel: string;
  dockerHost: string | undefined;
  /** Where the reaper of this machine looks for how long our leases are good. Undefined: nowhere. */
  runDir: string | undefined;
  /** With the API where its URL is known, else in a folder that is the API's too. */
  filesPlace: FilesPlace;
  /** When it stops, it kills its containers instead of leaving them to be adopted. */
  kill: boolean;
}

type Classes = { classes: ResourceClass[]; problems: string[] };

const readClasses = (path: string | undefined): Classes => {
  if (path === undefined) return { classes: DEFAULT_CLASSES, problems: [] };
  try {
    const parsed = resourceClassesSchema.safeParse(JSON.parse(readFileSync(path, 'utf8')));
    if (parsed.success) return { classes: parsed.data, problems: [] };
    return { classes: [], problems: parsed.error.issues.map((issue) => `BERTH_CLASSES_FILE: ${toText(issue)}`) };
  } catch (error) {
    return { classes: [], problems: [`BERTH_CLASSES_FILE: ${error instanceof Error ? error.message : error}`] };
  }
};

const readGpus = (value: string | undefined): { gpus: Gpu[] | undefined; problems: string[] } => {
  try {
    return { gpus: value === undefined ? undefined : readGpuList(value), problems: [] };
  } catch (error) {
    return { gpus: [], problems: [`BERTH_GPUS: ${error instanceof Error ? error.message : error}`] };
  }
};

/** `name=value,…` */
const readLabels = (text: string): { labels: Record<string, string>; problems: string[] } => {
  const pairs = text
    .split(',')
    .map((pair) => pair.trim())
    .filter((pair) => pair !== '');
  const wrong = pairs.filter((pair) => !pair.includes('='));
  const labels = pairs.map((pair) => [pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1)]);
  const parsed = labelsSchema.safeParse(Object.fromEntries(labels));
  const problems = [
    ...wrong.map((pair) => `BERTH_LABELS: ${pair}: must be name=value`),
    ...(parsed.success ? [] : parsed.error.issues.map((issue) => `BERTH_LABELS: ${toText(issue)}`)),
  ];
  return { labels: parsed.data ?? {}, problems };
};

/** Those of the workload runner's names for which there is one of ours: its settings go on working. */
const withAliases = (env: Record<string, string | undefined>): Record<string, string | undefined> => ({
  BERTH_NODE: env.EXECUTOR_IP,
  BERTH_REGION: env.EXECUTOR_REGION,
  BERTH_DATACENTER: env.EXECUTOR_DATACENTER,
  ...env,
  REDIS_URL: toRedisUrl(env),
});

const HEARTBEAT_MS = 5_000;
/** A machine that is silent for 30 s counts as lost, so whoever asks for fewer heartbeats than this gets this. */
const LONGEST_HEARTBEAT_MS = 10_000;

const toText = ({ path, message }: { path: PropertyKey[]; message: string }): string =>
  path.length === 0 ? message : `${path.join('.')}: ${message}`;

/** An empty variable is one that is not set. Throws one error that names everything that is wrong. */
export const toWorkerConfig = (
  environment: Record<string, string | undefined>,
  args: readonly string[] = [],
): WorkerConfig => {
  const env = withAliases(Object.fromEntries(Object.entries(environment).filter(([, value]) => value !== '')));
  const parsed = environmentSchema.safeParse(env);
  const { classes, problems } = readClasses(env.BERTH_CLASSES_FILE);
  const { gpus, problems: gpuProblems } = readGpus(env.BERTH_GPUS);
  const { labels, problems: labelProblems } = readLabels(env.BERTH_LABELS ?? '');
  problems.push(...gpuProblems, ...labelProblems);
  if (!parsed.success) problems.unshift(...parsed.error.issues.map(toText));
  const consent = findConsentProblem(env.BERTH_ALLOW_PUBLIC_BIND);
  if (consent) problems.push(consent);
  problems.push(...args.filter((arg) => arg !== '--kill').map((arg) => `${arg}: the only argument is --kill`));
  if (!parsed.success || problems.length > 0) throw new Error(`The configuration is wrong: ${problems.join('; ')}`);
  const it = parsed.data;
  return {
    redisUrl: it.REDIS_URL,
    prefix: it.BERTH_PREFIX,
    worker: `${hostname()}-${randomBytes(4).toString('hex')}`,
    node: it.BERTH_NODE,
    cpus: it.BERTH_CPUS,
    memoryMb: it.BERTH_MEMORY_MB,
    systemCpus: it.BERTH_SYSTEM_CPUS,
    systemMemoryMb: it.BERTH_SYSTEM_MEMORY_MB,
    labels,
    region: it.BERTH_REGION,
    datacenter: it.BERTH_DATACENTER,
    fakeGpus: gpus,
    heartbeatMs:
      it.HEARTBEAT_INTERVAL === undefined
        ? HEARTBEAT_MS
        : Math.min(it.HEARTBEAT_INTERVAL * 1_000, LONGEST_HEARTBEAT_MS),
    classes,
    defaultImage: it.BERTH_DEFAULT_IMAGE,
    logLimitBytes: it.BERTH_LOG_LIMIT_BYTES,
    outputLimits: { files: it.BERTH_MAX_OUTPUT_FILES, bytes: it.BERTH_MAX_OUTPUT_BYTES },
    maxFileBytes: it.BERTH_MAX_FILE_BYTES,
    uploadQuotaBytes: it.BERTH_USER_FILE_BYTES,
    pullTimeoutSeconds: it.BERTH_PULL_TIMEOUT_SECONDS,
    imageDiskPercent: it.BERTH_IMAGE_DISK_PERCENT,
    host: it.BERTH_WORKER_HOST,
    port: it.BERTH_WORKER_PORT,
    loopbackOnly: isLoopbackAddress(it.BERTH_WORKER_HOST),
    openWithoutKeys: it.BERTH_ALLOW_PUBLIC_BIND === PUBLIC_BIND_CONSENT,
    logLevel: it.BERTH_LOG_LEVEL,
    dockerHost: it.DOCKER_HOST,
    runDir: it.BERTH_RUN_DIR,
    filesPlace: it.BERTH_FILES ?? (it.BERTH_URL ? { kind: 'api', url: it.BERTH_URL } : toOwnFolder(it.BERTH_DATA_DIR)),
    kill: args.includes('--kill'),
  };
};

export const readWorkerConfig = (): WorkerConfig => toWorkerConfig(process.env, process.argv.slice(2));
