import { z } from 'zod';
import { inputsSchema, outputsSchema } from './job-files.js';
import type { Shape } from './placement.js';
import { LEAST_ASK, type Resources, toCenticpus } from './resources.js';
import { type AskedAttempts, attemptsAgree, maxAttemptsSchema, retrySchema, toRetryPolicy } from './retry-policy.js';
import { bytes, MAX_ARG_BYTES, text } from './text.js';
import { type ArrayTask, afterSchema, arraySchema } from './work-shape.js';

const MAX_ARGS = 1_000;
const MAX_TEXT_BYTES = 192 * 1024;
export const MAX_TIMEOUT_SECONDS = 7 * 24 * 3600;
const DEFAULT_TIMEOUT_SECONDS = 3600;
const MAX_QUEUE_TIMEOUT_SECONDS = 30 * 24 * 3600;
const DEFAULT_WORKDIR = '/workspace';

const printable = (max: number) =>
  z
    .string()
    .min(1)
    .max(max)
    .regex(/^[^\p{Cc}\p{Cs}]+$/u, 'must not contain control characters');

/** `[registry[:port]/]path[:tag][@sha256:digest]`, as the engine reads it (distribution/reference). */
const IMAGE =
  /^(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)*(?::[0-9]{1,5})?\/)?[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:\/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*(?::[\w][\w.-]{0,127})?(?:@sha256:[a-f0-9]{64})?$/;

export const imageSchema = z
  .string()
  .min(1, 'must name an image')
  .max(255)
  .regex(IMAGE, 'must be an image reference such as busybox:stable or registry.example.com/team/tool@sha256:…');

const argv = z
  .array(text)
  .min(1, 'must hold at least the program')
  .max(MAX_ARGS, `must hold at most ${MAX_ARGS} arguments`)
  .refine((args) => args[0] !== '', 'must begin with the program to run');

const script = text.refine((s) => s.trim() !== '', 'must not be blank');

export const commandSchema = z
  .union([argv, script], { error: 'must be a list of arguments, or a string for /bin/sh -c' })
  .refine((c) => bytes(typeof c === 'string' ? c : c.join(' ')) <= MAX_TEXT_BYTES, 'must be at most 192 KiB in all');

/** What is wrong with a key, in the words of the key's own schema. */
const error: z.core.$ZodErrorMap = (issue) =>
  issue.code === 'invalid_key' ? issue.issues?.map((one) => one.message).join('; ') : undefined;

/** A record drops a key named `__proto__` before it looks at it; what a user sent is refused, not dropped. */
const map = <Key extends z.ZodType<string, string>>(key: Key, value: z.ZodString) =>
  z.preprocess(
    (input: Record<string, string>, context) => {
      if (typeof input === 'object' && input !== null && Object.hasOwn(input, '__proto__')) {
        context.addIssue({ code: 'custom', path: ['__proto__'], message: 'must not be used as a name' });
      }
      return input;
    },
    z.record(key, value, { error }),
  );

const label = z
  .string()
  .regex(
    /^[A-Za-z0-9](?:[A-Za-z0-9._/-]{0,61}[A-Za-z0-9])?$/,
    'must be 1 to 63 letters, digits, dots, dashes, slashes or underscores, a letter or digit first and last',
  );

export const labelsSchema = map(label, printable(128)).refine(
  (labels) => Object.keys(labels).length <= 32,
  'must hold at most 32 labels',
);

const envName = z
  .string()
  .regex(/^[A-Za-z_][A-Za-z0-9_]{0,255}$/, 'must be letters, digits and underscores, not beginning with a digit')
  .refine(
    (name) => !name.startsWith('BERTH_'),
    'must not begin with BERTH_, which is kept for what Berth tells the job',
  );

const envSchema = map(envName, text)
  .refine((env) => Object.keys(env).length <= 1_000, 'must hold at most 1,000 variables')
  .superRefine((env, context) => {
    for (const [name, value] of Object.entries(env)) {
      if (bytes(`${name}=${value}`) <= MAX_ARG_BYTES) continue;
      context.addIssue({ code: 'custom', path: [name], message: 'must be shorter than 128 KiB with its name' });
    }
  });

/** An engine gives up on paths of 255 folders, and file systems on longer names: it would look like trouble of its own. */
const MAX_FOLDERS = 100;
const MAX_NAME_BYTES = 255;

const workdirSchema = text
  .refine((s) => s.startsWith('/'), 'must be an absolute path')
  .refine((s) => s.length <= 1_024, 'must be at most 1,024 characters')
  .refine((s) => s.split('/').length <= MAX_FOLDERS + 1, `must be at most ${MAX_FOLDERS} folders deep`)
  .refine(
    (s) => s.split('/').every((name) => bytes(name) <= MAX_NAME_BYTES),
    'has a folder name of more than 255 bytes',
  )
  .refine((s) => !s.split('/').includes('..'), 'must not contain ..')
  .refine((s) => !/^\/+(\.\/+)*(proc|sys|dev)(\/|$)/.test(s), 'must not lie in /proc, /sys or /dev');

const cpusSchema = z
  .number()
  .min(0.01)
  .max(1024)
  .refine((n) => Math.abs(n * 100 - Math.round(n * 100)) < 1e-6, 'must be in steps of 0.01');

const MAX_PLACES = 64;

const gpusSchema = z.strictObject({
  count: z.number().int().min(1).max(64).default(1).describe('How many GPUs.'),
  type: printable(128).default('any').describe('`any`, or a name or a word of it, in any case: `a100`.'),
  memory_mb: z
    .number()
    .int()
    .min(1)
    .max(16_777_216)
    .optional()
    .describe('So much of each GPU, which other jobs with such a slice may share. Default: whole GPUs.'),
});

const placesSchema = z.array(printable(128)).max(MAX_PLACES, `must name at most ${MAX_PLACES}`);

const networkSchema = z.enum(['none', 'egress']);
export type Network = z.infer<typeof networkSchema>;

/**
 * The fields of `POST /v1/jobs`. Strict: a field that is not here is refused, so that a typo or an attempt to reach the engine's
 * own options (`privileged`, `binds`) never passes silently.
 */
export const jobSpecFields = z.strictObject({
  image: imageSchema.optional().describe('What it runs in. Default: the one that the operator chose.'),
  command: commandSchema.describe('A list is run as it stands, a string by `/bin/sh -c`.'),
  name: printable(128).optional().describe('For people and for lists; need not be unique.'),
  labels: labelsSchema.default({}).describe('For lists: `?label=name=value`.'),
  env: envSchema.default({}).describe('Environment variables. Names that begin with `BERTH_` are kept for Berth.'),
  workdir: workdirSchema.default(DEFAULT_WORKDIR).describe('Where the command starts. Made where it is missing.'),
  cpus: cpusSchema.default(1).describe('CPUs, in steps of 0.01: reserved, and a hard limit.'),
  memory_mb: z
    .number()
    .int()
    .min(LEAST_ASK.memory_mb)
    .max(16_777_216)
    .default(256)
    .describe('Memory in MiB, without swap: reserved, and a hard limit.'),
  gpus: gpusSchema.optional().describe('GPUs. Default: none.'),
  node_selector: labelsSchema.optional().describe('Only machines that have all of these labels.'),
  eligible_regions: placesSchema.optional().describe('Only machines in one of these regions. Default: any.'),
  eligible_datacenters: placesSchema.optional().describe('Only machines in one of these datacenters. Default: any.'),
  timeout_seconds: z
    .number()
    .int()
    .min(1)
    .max(MAX_TIMEOUT_SECONDS)
    .default(DEFAULT_TIMEOUT_SECONDS)
    .describe('How long each attempt may run, from the start of its container.'),
  stop_grace_seconds: z.number().int().min(0).max(300).default(10).describe('The time between TERM and KILL.'),
  network: networkSchema.default('none').describe('`egress`: out, but not to other jobs.'),
  priority: z.number().int().min(0).max(100).default(50).describe('Higher first.'),
  queue_timeout_seconds: z
    .number()
    .int()
    .min(1)
    .max(MAX_QUEUE_TIMEOUT_SECONDS)
    .optional()
    .describe(
      'Still waiting for its first machine after so long, it fails as `queue_timeout`. Default: it waits for ever.',
    ),
  hold: z.boolean().optional().describe('Accepted, but not started until someone releases it.'),
  max_attempts: maxAttemptsSchema.optional().describe('Short for `retry.max_attempts`.'),
  retry: retrySchema.optional().describe('Whether and how soon a failed job is tried again.'),
  after: afterSchema.optional().describe('Jobs and arrays that must have ended first, and how.'),
  inputs: inputsSchema.optional().describe('Files that are in /workspace before it starts.'),
  outputs: outputsSchema
    .optional()
    .describe('Which files of /workspace are kept when it has ended, however it did: `out/**`, `*.csv`. `**` is all.'),
  array: arraySchema.optional().describe('Many jobs that differ in their index: see `POST /v1/jobs`.'),
});

const DISAGREE =
  'is the short form of retry.max_attempts and differs from it: give one of them, or the same number twice';

const checkAttempts = (spec: AskedAttempts, context: z.RefinementCtx): void => {
  if (!attemptsAgree(spec)) context.addIssue({ code: 'custom', path: ['max_attempts'], message: DISAGREE });
};

/** One form for all ways to say it: the whole policy, and its number of attempts once more where clients have always found it. */
const fillRetry = <S extends AskedAttempts>(spec: S) => {
  const retry = toRetryPolicy(spec);
  return { ...spec, max_attempts: retry.max_attempts, retry };
};

/** What a user asks for: the body of `POST /v1/jobs`. */
export const jobSpecSchema = jobSpecFields.superRefine(checkAttempts).transform(fillRetry);

/** The same, where an empty command is the image's own: a kept wire format has it so. */
export const imageCommandSpecSchema = jobSpecFields
  .extend({
    command: z
      .array(text)
      .max(MAX_ARGS, `must hold at most ${MAX_ARGS} arguments`)
      .refine((args) => bytes(args.join(' ')) <= MAX_TEXT_BYTES, 'must be at most 192 KiB in all'),
  })
  .superRefine(checkAttempts)
  .transform(fillRetry);

export type JobSpecInput = z.input<typeof jobSpecSchema>;

/** A spec with every default filled in. Of an array only what concerns the one job is left. */
export type JobSpec = Omit<z.output<typeof jobSpecSchema>, 'image' | 'array'> & {
  image: string;
  array_task?: ArrayTask | undefined;
};

/** A string is a script for the image's shell; a list is run as it stands. */
export const toArgv = (command: JobSpec['command']): string[] =>
  typeof command === 'string' ? ['/bin/sh', '-c', command] : command;

export const toAsk = (spec: Pick<JobSpec, 'cpus' | 'memory_mb' | 'gpus'>): Resources => ({
  centicpus: toCenticpus(spec.cpus),
  memory_mb: spec.memory_mb,
  gpus: spec.gpus?.count ?? 0,
});

/** What the scheduler knows of the job. `groups`: quotas that it counts against, beside those of its user and class. */
export const toJobShape = (spec: JobSpec, groups?: string[]): Shape => ({
  ask: toAsk(spec),
  timeout_seconds: spec.timeout_seconds,
  gpus: spec.gpus,
  node_selector: spec.node_selector,
  eligible_regions: spec.eligible_regions,
  eligible_datacenters: spec.eligible_datacenters,
  groups,
});

/** The registry that an image would be pulled from, or null for the engine's default one. */
export const toRegistry = (image: string): string | null => {
  const first = image.split('/')[0] ?? '';
  const isHost = image.includes('/') && (first.includes('.') || first.includes(':') || first === 'localhost');
  return isHost ? first : null;
};
