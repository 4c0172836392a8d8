import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import {
  DEFAULT_CLASSES,
  findBindProblem,
  isLoopbackAddress,
  type ResourceClass,
  resourceClassesSchema,
} from '@berth/domain';
import { z } from 'zod';

const count = z.coerce.number().int().positive();

/** Every environment variable that a worker reads; README's table says what each is for. */
const environmentSchema = z.object({
  REDIS_URL: z.string().default('redis://127.0.0.1:6379'),
  BERTH_PREFIX: z
    .string()
    .regex(/^[a-z0-9][a-z0-9:_-]{0,63}$/i)
    .default('berth'),
  BERTH_NODE: z.string().min(1).max(128).optional(),
  BERTH_CPUS: z.coerce.number().positive().optional(),
  BERTH_MEMORY_MB: count.optional(),
  BERTH_CLASSES_FILE: z.string().optional(),
  BERTH_DEFAULT_IMAGE: z.string().default('busybox:stable'),
  BERTH_LOG_LIMIT_BYTES: count.default(10 * 1024 * 1024),
  BERTH_PULL_TIMEOUT_SECONDS: count.default(600),
  BERTH_WORKER_HOST: z.string().default('127.0.0.1'),
  BERTH_WORKER_PORT: z.coerce.number().int().min(0).max(65_535).default(8080),
  BERTH_ALLOW_PUBLIC_BIND: z.string().optional(),
  BERTH_LOG_LEVEL: z.enum(['fatal', 'error', 'warn', 'info', 'debug', 'trace']).default('info'),
  BERTH_RUN_DIR: z.string().optional(),
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
  classes: ResourceClass[];
  defaultImage: string;
  logLimitBytes: number;
  /** How long the download of an image may take. */
  pullTimeoutSeconds: number;
  host: string;
  /** 0: none. */
  port: number;
  /** Bound to loopback: only requests that name a loopback host are answered. */
  loopbackOnly: boolean;
  logLevel: string;
  dockerHost: string | undefined;
  /** Where the reaper of this machine looks for how long our leases are good. Undefined: nowhere. */
  runDir: string | undefined;
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

const toText = ({ path, message }: { path: PropertyKey[]; message: string }): string =>
  path.length === 0 ? message : `${path.join('.')}: ${message}`;

/** An empty variable is one that is not set. Throws one error that names everything that is wrong. */
export const toWorkerConfig = (
  environment: Record<string, string | undefined>,
  args: readonly string[] = [],
): WorkerConfig => {
  const env = Object.fromEntries(Object.entries(environment).filter(([, value]) => value !== ''));
  const parsed = environmentSchema.safeParse(env);
  const { classes, problems } = readClasses(env.BERTH_CLASSES_FILE);
  if (!parsed.success) problems.unshift(...parsed.error.issues.map(toText));
  const bind = findBindProblem('BERTH_WORKER_HOST', env.BERTH_WORKER_HOST ?? '127.0.0.1', env.BERTH_ALLOW_PUBLIC_BIND);
  if (bind && env.BERTH_WORKER_PORT !== '0') problems.push(bind);
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
    classes,
    defaultImage: it.BERTH_DEFAULT_IMAGE,
    logLimitBytes: it.BERTH_LOG_LIMIT_BYTES,
    pullTimeoutSeconds: it.BERTH_PULL_TIMEOUT_SECONDS,
    host: it.BERTH_WORKER_HOST,
    port: it.BERTH_WORKER_PORT,
    loopbackOnly: isLoopbackAddress(it.BERTH_WORKER_HOST),
    logLevel: it.BERTH_LOG_LEVEL,
    dockerHost: it.DOCKER_HOST,
    runDir: it.BERTH_RUN_DIR,
    kill: args.includes('--kill'),
  };
};

export const readWorkerConfig = (): WorkerConfig => toWorkerConfig(process.env, process.argv.slice(2));
