import { z } from 'zod';
import type { Cause } from './outcome.js';

/** What another attempt may be asked for. A cancel is a wish, and faults of the platform are not the job's to pay for. */
export const RETRYABLE_CAUSES = [
  'exit_code',
  'out_of_memory',
  'timeout',
  'image_not_found',
  'image_pull_failed',
  'start_failed',
  'killed_externally',
  'removed_externally',
] as const satisfies readonly Cause[];
export type RetryableCause = (typeof RETRYABLE_CAUSES)[number];

/** Those that another attempt may mend; an image or a program that is not there is seldom there a minute later. */
const DEFAULT_CAUSES: RetryableCause[] = [
  'exit_code',
  'out_of_memory',
  'timeout',
  'image_pull_failed',
  'killed_externally',
  'removed_externally',
];
const DEFAULT_BACKOFF_SECONDS = 1;
const DEFAULT_MAX_BACKOFF_SECONDS = 60;
const DEFAULT_MAX_ATTEMPTS = 1;

/** When a failed attempt is followed by another one, and how soon. */
export interface RetryPolicy {
  max_attempts: number;
  on: RetryableCause[];
  backoff_seconds: number;
  max_backoff_seconds: number;
}

export const maxAttemptsSchema = z.number().int().min(1).max(100);

const causesSchema = z
  .array(z.enum(RETRYABLE_CAUSES))
  .min(1, 'must name at least one cause; to try once only, set max_attempts to 1')
  .refine((causes) => new Set(causes).size === causes.length, 'must name each cause once');

export const retrySchema = z
  .strictObject({
    max_attempts: maxAttemptsSchema
      .optional()
      .meta({ default: DEFAULT_MAX_ATTEMPTS })
      .describe('Attempts in all, the first one included.'),
    on: causesSchema.default(DEFAULT_CAUSES).describe('The causes of failure that are tried again.'),
    backoff_seconds: z
      .number()
      .min(0)
      .max(3_600)
      .default(DEFAULT_BACKOFF_SECONDS)
      .describe('The first pause. It doubles with each attempt, and half of each pause is random.'),
    max_backoff_seconds: z
      .number()
      .min(0)
      .max(86_400)
      .default(DEFAULT_MAX_BACKOFF_SECONDS)
      .describe('No pause is longer. Not less than `backoff_seconds`.'),
  })
  .refine(({ backoff_seconds, max_backoff_seconds }) => max_backoff_seconds >= backoff_seconds, {
    path: ['max_backoff_seconds'],
    message: `must not be less than backoff_seconds (its default is ${DEFAULT_MAX_BACKOFF_SECONDS})`,
  });

/** `max_attempts` at the top of a spec and in its `retry`. */
export interface AskedAttempts {
  max_attempts?: number | undefined;
  retry?: z.output<typeof retrySchema> | undefined;
}

/** `max_attempts` is the short form of `retry.max_attempts`; a spec may have both where they agree. */
export const attemptsAgree = ({ max_attempts, retry }: AskedAttempts): boolean =>
  max_attempts === undefined || retry?.max_attempts === undefined || max_attempts === retry.max_attempts;

/** The whole policy. Also for a spec that an older version stored, which has `max_attempts` alone. */
export const toRetryPolicy = ({ max_attempts, retry }: AskedAttempts): RetryPolicy => ({
  on: DEFAULT_CAUSES,
  backoff_seconds: DEFAULT_BACKOFF_SECONDS,
  max_backoff_seconds: DEFAULT_MAX_BACKOFF_SECONDS,
  ...retry,
  max_attempts: retry?.max_attempts ?? max_attempts ?? DEFAULT_MAX_ATTEMPTS,
});
