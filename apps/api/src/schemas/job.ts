import { CAUSES, CONDITIONS, JOB_STATES, jobSpecFields, RETRYABLE_CAUSES, type Usage } from '@berth/domain';
import { z } from '@hono/zod-openapi';
import { integerParam, textParam, timeParam } from '../request-input.js';

const time = z.string().openapi({ format: 'date-time', example: '2026-11-22T12:25:33.402Z' });
const milliseconds = z.number().int();

export const jobIdParams = z.object({ id: z.string().openapi({ format: 'uuid' }) });

const causeSchema = z.enum(CAUSES).nullable().openapi({ description: 'Why it did not complete.' });

const evidenceSchema = z
  .object({
    exit_code: z.number().int().nullable(),
    signal: z.string().nullable().openapi({ description: 'What the exit code stands for, `SIGKILL` for 137.' }),
    oom_kills: z.number().int().openapi({ description: 'Processes killed for want of memory: at least so many.' }),
    oom_flag: z
      .boolean()
      .openapi({ description: 'What the engine itself says. It is sometimes false after a true one.' }),
    memory_peak_bytes: z.number().int().nullable().openapi({ description: 'Null: nobody could look.' }),
    asked_by: z
      .enum(['cancel', 'timeout', 'deadline', 'outside'])
      .nullable()
      .openapi({ description: 'Who asked for the end; `outside` is another client of the engine.' }),
  })
  .openapi('Evidence');

const bytes = z.number().int().nullable();

export const usageSchema = z
  .object({
    sampled_at: time.openapi({ description: 'When it was seen, by the clock of its machine.' }),
    cpu_seconds: z.number().nullable(),
    memory_peak_bytes: bytes,
    network_rx_bytes: bytes,
    network_tx_bytes: bytes,
    block_read_bytes: bytes,
    block_write_bytes: bytes,
  })
  .openapi('Usage');

export const toUsageAnswer = ({ at, ...used }: Usage): z.infer<typeof usageSchema> => ({
  sampled_at: new Date(at).toISOString(),
  ...used,
});

const attemptSchema = z
  .object({
    attempt: z.number().int(),
    epoch: z.number().int(),
    node: z.string(),
    image_digest: z.string().nullable(),
    started_at: time.nullable(),
    finished_at: time,
    exit_code: z.number().int().nullable(),
    cause: causeSchema,
    message: z.string().nullable(),
    evidence: evidenceSchema.nullable().openapi({ description: 'What was seen of the end of its container.' }),
    usage: usageSchema.nullable().openapi({ description: 'What its container had used when it was last looked at.' }),
    artifacts: z
      .object({
        files: z.number().int(),
        bytes: z.number().int(),
        refused: z
          .number()
          .int()
          .openapi({ description: 'What was not kept: links, devices, what is beyond the limits.' }),
        notes: z.array(z.string()).openapi({ description: 'The first refusals, one each, and what else went wrong.' }),
      })
      .nullable()
      .openapi({ description: 'What it left behind. Null: nothing was asked for, or could be looked at.' }),
  })
  .openapi('Attempt');
export type AttemptAnswer = z.infer<typeof attemptSchema>;

const commandSchema = z.union([z.array(z.string()), z.string()]);

const retryPolicySchema = z
  .object({
    max_attempts: z.number().int(),
    on: z.array(z.enum(RETRYABLE_CAUSES)),
    backoff_seconds: z.number(),
    max_backoff_seconds: z.number(),
  })
  .openapi('RetryPolicy');

export const storedSpecSchema = z
  .object({
    image: z.string(),
    command: commandSchema,
    name: z.string().optional(),
    labels: z.record(z.string(), z.string()),
    env: z.record(z.string(), z.string()),
    workdir: z.string(),
    cpus: z.number(),
    memory_mb: z.number().int(),
    gpus: z.object({ count: z.number().int(), type: z.string(), memory_mb: z.number().int().optional() }).optional(),
    node_selector: z.record(z.string(), z.string()).optional(),
    eligible_regions: z.array(z.string()).optional(),
    eligible_datacenters: z.array(z.string()).optional(),
    timeout_seconds: z.number().int(),
    stop_grace_seconds: z.number().int(),
    network: z.enum(['none', 'egress']),
    priority: z.number().int(),
    queue_timeout_seconds: z.number().int().optional(),
    hold: z.boolean().optional(),
    max_attempts: z.number().int().openapi({ description: 'The same as `retry.max_attempts`.' }),
    retry: retryPolicySchema,
    after: z.array(z.object({ job: z.string(), condition: z.enum(CONDITIONS) })).optional(),
    array_task: z
      .object({ array_id: z.string(), index: z.number().int(), size: z.number().int(), value: z.string().optional() })
      .optional(),
  })
  .openapi('StoredJobSpec');

export const jobStateSchema = z.enum(JOB_STATES).openapi('JobState');

const jobRowSchema = z
  .object({
    job_id: z.string().openapi({ format: 'uuid' }),
    user: z.string().openapi({ description: 'Whose it is; `local` where there are no API keys.' }),
    state: jobStateSchema,
    cause: causeSchema,
    exit_code: z.number().int().nullable(),
    message: z.string().nullable(),
    waiting_for: z.enum(['back_off', 'hold', 'dependencies', 'quota']).nullable().openapi({
      description:
        'What a pending job waits for before it waits for a machine. `quota` is as things are now; the answer to a submission does not look.',
    }),
    requeued_from: z.string().nullable().openapi({ description: 'The finished job that it runs once more.' }),
    array_id: z.string().nullable().openapi({ description: 'The array that it belongs to.' }),
    array_index: z.number().int().nullable(),
    image: z.string(),
    image_digest: z.string().nullable(),
    command: commandSchema,
    class: z.string(),
    priority: z.number().int(),
    node: z.string().nullable(),
    gpu_uuids: z.array(z.string()).openapi({ description: 'The GPUs that it holds, or a slice of each.' }),
    attempts: z.array(attemptSchema),
    created_at: time,
    started_at: time.nullable(),
    finished_at: time.nullable(),
    runtime_ms: milliseconds.nullable(),
    queue_ms: milliseconds,
    spec: storedSpecSchema,
  })
  .openapi('JobRow');
type StoredSpec = z.infer<typeof storedSpecSchema>;
type Loose<T> = Omit<T, 'spec'> & { spec: Omit<StoredSpec, 'name'> & { name?: string | undefined } };
export type JobRow = Loose<z.infer<typeof jobRowSchema>>;

export const jobSchema = jobRowSchema
  .extend({
    stdout: z.string().openapi({ description: 'The last 64 KiB.' }),
    stdout_truncated: z.boolean(),
    stderr: z.string().openapi({ description: 'The last 64 KiB.' }),
    stderr_truncated: z.boolean(),
  })
  .openapi('Job');
export type JobAnswer = Loose<z.infer<typeof jobSchema>>;

/** A clone, because a schema made before this library was loaded cannot be named in the contract. */
export const submitBodySchema = jobSpecFields.clone().openapi('JobSpec');

export const jobListSchema = z
  .object({ jobs: z.array(jobRowSchema), next_cursor: z.string().nullable() })
  .openapi('JobList');

export const idempotencyHeaders = z.object({
  'Idempotency-Key': z
    .string()
    .optional()
    .openapi({ description: '1 to 128 printable ASCII characters; kept for 24 hours.' }),
});

export const waitQuerySchema = z.strictObject({
  wait: integerParam(
    { min: 0, max: 60 },
    { default: 0, description: 'Seconds to wait for the end of the job.' },
  ).default(0),
});

const LABEL = /^[A-Za-z0-9][A-Za-z0-9._/-]{0,62}=[^\p{Cc}\p{Cs}]{1,128}$/u;

export const listQuerySchema = z.strictObject({
  state: jobStateSchema.optional(),
  label: z.string().regex(LABEL, 'must be name=value').optional(),
  name: textParam(128).optional(),
  user: textParam(64).optional().openapi({ description: 'For operators; a user sees their own jobs only.' }),
  cause: z.enum(CAUSES).optional(),
  class: textParam(64).optional(),
  node: textParam(255).optional().openapi({ description: 'A machine that any of its attempts ran on.' }),
  created_after: timeParam("Then or later. Of an array's job it counts when it was made of the array."),
  created_before: timeParam('Before then.'),
  finished_after: timeParam('Then or later.'),
  finished_before: timeParam('Before then.'),
  limit: integerParam({ min: 1, max: 200 }, { default: 50 }).default(50),
  cursor: z.string().min(1).max(256).optional(),
});
