import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { DEFAULT_CLASSES, type ResourceClass, resourceClassesSchema } from '@berth/domain';
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
  BERTH_WORKER_HOST: z.string().default('127.0.0.1'),
  BERTH_WORKER_PORT: z.coerce.number().int().min(0).max(65_535).default(8080),
  BERTH_LOG_LEVEL: z.enum(['fatal', 'error', 'warn', 'info', 'debug', 'trace']).default('info'),
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
  host: string;
  port: number;
  logLevel: string;
  dockerHost: string | undefined;
}

const readClasses = (path: string | undefined): ResourceClass[] =>
  path === undefined ? DEFAULT_CLASSES : resourceClassesSchema.parse(JSON.parse(readFileSync(path, 'utf8')));

/** Throws one error that names every variable that is wrong. */
export const toWorkerConfig = (env: Record<string, string | undefined>): WorkerConfig => {
  const parsed = environmentSchema.safeParse(env);
  if (!parsed.success) {
    const problems = parsed.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`);
    throw new Error(`The configuration is wrong: ${problems.join('; ')}`);
  }
  const it = parsed.data;
  return {
    redisUrl: it.REDIS_URL,
    prefix: it.BERTH_PREFIX,
    worker: `${hostname()}-${randomBytes(4).toString('hex')}`,
    node: it.BERTH_NODE,
    cpus: it.BERTH_CPUS,
    memoryMb: it.BERTH_MEMORY_MB,
    classes: readClasses(it.BERTH_CLASSES_FILE),
    defaultImage: it.BERTH_DEFAULT_IMAGE,
    logLimitBytes: it.BERTH_LOG_LIMIT_BYTES,
    host: it.BERTH_WORKER_HOST,
    port: it.BERTH_WORKER_PORT,
    logLevel: it.BERTH_LOG_LEVEL,
    dockerHost: it.DOCKER_HOST,
  };
};

export const readWorkerConfig = (): WorkerConfig => toWorkerConfig(process.env);
