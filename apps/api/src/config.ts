import { readFileSync } from 'node:fs';
import {
  DEFAULT_CLASSES,
  findConsentProblem,
  imageSchema,
  isLoopbackAddress,
  PUBLIC_BIND_CONSENT,
  type ResourceClass,
  resourceClassesSchema,
  type Service,
} from '@berth/domain';
import { type FilesPlace, filesPlaceSchema, parseRedisUrl, toOwnFolder, toRedisUrl } from '@berth/store';
import { z } from 'zod';
import { maxAgeSchema, parseServices } from './service-config.js';

const redisUrl = z.string().superRefine((url, context) => {
  try {
    parseRedisUrl(url);
  } catch (error) {
    context.addIssue({ code: 'custom', message: (error as Error).message });
  }
});

const databaseUrl = z
  .string()
  .regex(/^postgres(ql)?:\/\//, 'must begin with postgresql://')
  .refine((url) => URL.canParse(url), 'must be postgresql://user:password@host:port/database');

const list = z.string().transform((text) =>
  text
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== ''),
);

const RETENTION_SECONDS = 7 * 24 * 3600;

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
  BERTH_RETENTION_SECONDS: z.coerce.number().int().min(60).optional(),
  MAX_AGE: maxAgeSchema,
  DATABASE_URL: databaseUrl.optional(),
  BERTH_ARCHIVE_AFTER_SECONDS: z.coerce.number().int().min(0).default(3600),
  BERTH_KEEP_FINISHED: z.coerce.number().int().min(0).default(10_000),
  BERTH_DATA_DIR: z.string().optional(),
  BERTH_FILES: filesPlaceSchema.optional(),
  BERTH_MAX_FILE_BYTES: z.coerce
    .number()
    .int()
    .min(1)
    .default(2 * 1024 ** 3),
  BERTH_USER_FILE_BYTES: z.coerce.number().int().min(0).optional(),
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
  /** Of the job orchestrator's format, by name in lower case. */
  services: ReadonlyMap<string, Service>;
  /** After so many seconds from its end the files of a job of that format are gone. */
  maxAgeSeconds: number;
  /** Where finished jobs go. Undefined: they stay in Redis, and are forgotten when their time is up. */
  databaseUrl: string | undefined;
  /** So long, and so many, finished jobs stay in Redis where there is a database. */
  archiveAfterSeconds: number;
  keepFinished: number;
  /** Where the broker keeps its data, if that is on this machine. */
  dataDir: string | undefined;
  filesPlace: FilesPlace;
  /** Of one upload. */
  maxFileBytes: number;
  /** Of all uploads of a user. Undefined: no limit. */
  uploadQuotaBytes: number | undefined;
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
  const services = parseServices(env, classes, problems);
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
    retentionSeconds: it.BERTH_RETENTION_SECONDS ?? Math.max(RETENTION_SECONDS, services.size > 0 ? it.MAX_AGE : 0),
    services,
    maxAgeSeconds: it.MAX_AGE,
    databaseUrl: it.DATABASE_URL,
    archiveAfterSeconds: it.BERTH_ARCHIVE_AFTER_SECONDS,
    keepFinished: it.BERTH_KEEP_FINISHED,
    dataDir: it.BERTH_DATA_DIR,
    filesPlace: it.BERTH_FILES ?? toOwnFolder(it.BERTH_DATA_DIR),
    maxFileBytes: it.BERTH_MAX_FILE_BYTES,
    uploadQuotaBytes: it.BERTH_USER_FILE_BYTES,
    maxConnections: it.BERTH_MAX_CONNECTIONS,
    logLevel: it.BERTH_LOG_LEVEL,
  };
};

export const readApiConfig = (): ApiConfig => toApiConfig(process.env);
