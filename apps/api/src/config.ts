import { readFileSync } from 'node:fs';
import {
  DEFAULT_CLASSES,
  findConsentProblem,
  imageSchema,
  isLoopbackAddress,
  PUBLIC_BIND_CONSENT,
  type ResourceClass,
  resourceClassesSchema,
} from '@berth/domain';
import { parseRedisUrl, toRedisUrl } from '@berth/store';
import { z } from 'zod';

const redisUrl = z.string().superRefine((url, context) => {
  try {
    parseRedisUrl(url);
  } catch (error) {
    context.addIssue({ code: 'custom', message: (error as Error).message });
  }
});

const list = z.string().transform((text) =>
  text
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== ''),
);

/** Every environment variable that the API reads; README's table says what each is for. */
const environmentSchema = z.object({
  REDIS_URL: redisUrl.default('redis://127.0.0.1:6379'),
  BERTH_PREFIX: z
    .string()
    .regex(/^[a-z0-9][a-z0-9:_-]{0,63}$/i)
    .default('berth'),
  BERTH_HOST: z.string().default('127.0.0.1'),
  BERTH_PORT: z.coerce.number().int().min(0).max(65_535).default(8000),
  BERTH_ALLOW_PUBLIC_BIND: z.string().optional(),
  BERTH_LOOPBACK_NAMES_ONLY: z.stringbool().default(false),
  BERTH_CLASSES_FILE: z.string().optional(),
  BERTH_DEFAULT_IMAGE: imageSchema.default('busybox:stable'),
  BERTH_ALLOWED_REGISTRIES: list.default([]),
  BERTH_RETENTION_SECONDS: z.coerce
    .number()
    .int()
    .min(60)
    .default(7 * 24 * 3600),
  BERTH_DATA_DIR: z.string().optional(),
  BERTH_MAX_CONNECTIONS: z.coerce.number().int().min(1).default(8_192),
  BERTH_LOG_LEVEL: z.enum(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent']).default('info'),
});

export interface ApiConfig {
  redisUrl: string;
  prefix: string;
  host: string;
  port: number;
  /** Bound to loopback, or published there and told so: only requests that name a loopback host are answered. */
  loopbackOnly: boolean;
  /** Whoever reaches the port is the local user until the first key is made: so it was said in so many words. */
  openWithoutKeys: boolean;
  classes: ResourceClass[];
  defaultImage: string;
  /** Registries that may be pulled from although they are no public names, for example `localhost:5000`. */
  allowedRegistries: string[];
  retentionSeconds: number;
  /** Where the broker keeps its data, if that is on this machine. */
  dataDir: string | undefined;
  maxConnections: number;
  logLevel: string;
}

const readClasses = (path: string | undefined, problems: string[]): ResourceClass[] => {
  if (path === undefined) return DEFAULT_CLASSES;
  try {
    return resourceClassesSchema.parse(JSON.parse(readFileSync(path, 'utf8')));
  } catch (error) {
    const detail = error instanceof z.ZodError ? z.prettifyError(error) : (error as Error).message;
    problems.push(`BERTH_CLASSES_FILE ${detail}`);
    return [];
  }
};

/** Throws one error that names every variable that is wrong. */
export const toApiConfig = (environment: Record<string, string | undefined>): ApiConfig => {
  const given = Object.fromEntries(Object.entries(environment).filter(([, value]) => value !== ''));
  const env: Record<string, string | undefined> = { ...given, REDIS_URL: toRedisUrl(given) };
  const parsed = environmentSchema.safeParse(env);
  const problems = (parsed.error?.issues ?? []).map((issue) => `${issue.path.join('.')}: ${issue.message}`);
  const consent = findConsentProblem(env.BERTH_ALLOW_PUBLIC_BIND);
  if (consent) problems.push(consent);
  const classes = readClasses(env.BERTH_CLASSES_FILE, problems);
  if (!parsed.success || problems.length > 0) throw new Error(`The configuration is wrong:\n${problems.join('\n')}`);
  const it = parsed.data;
  return {
    redisUrl: it.REDIS_URL,
    prefix: it.BERTH_PREFIX,
    host: it.BERTH_HOST,
    port: it.BERTH_PORT,
    loopbackOnly: it.BERTH_LOOPBACK_NAMES_ONLY || isLoopbackAddress(it.BERTH_HOST),
    openWithoutKeys: it.BERTH_ALLOW_PUBLIC_BIND === PUBLIC_BIND_CONSENT,
    classes,
    defaultImage: it.BERTH_DEFAULT_IMAGE,
    allowedRegistries: it.BERTH_ALLOWED_REGISTRIES,
    retentionSeconds: it.BERTH_RETENTION_SECONDS,
    dataDir: it.BERTH_DATA_DIR,
    maxConnections: it.BERTH_MAX_CONNECTIONS,
    logLevel: it.BERTH_LOG_LEVEL,
  };
};

export const readApiConfig = (): ApiConfig => toApiConfig(process.env);
