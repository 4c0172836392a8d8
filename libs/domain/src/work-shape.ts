import { z } from 'zod';
import type { JobState } from './job.js';
import { bytes, MAX_ARG_BYTES, text } from './text.js';

const MAX_DEPENDENCIES = 1_000;
const MAX_ARRAY_SIZE = 1_000_000;
const MAX_VALUES = 100_000;

const ID = '[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}';

/** `completed` and `failed` are how it ended; `finished` is any end. */
export const CONDITIONS = ['completed', 'failed', 'finished'] as const;
export type Condition = (typeof CONDITIONS)[number];

const dependencySchema = z.strictObject({
  job: z
    .string()
    .regex(
      new RegExp(`^(?:${ID}|#(?:0|[1-9][0-9]{0,4}))$`),
      'must be the id of a job or an array, or #<place> in a batch',
    )
    .describe('A job or an array. In a batch also `#<place>`: an earlier entry, counted from 0.'),
  condition: z.enum(CONDITIONS).default('completed').describe('How it must have ended.'),
});
export type Dependency = z.output<typeof dependencySchema>;

export const afterSchema = z
  .array(dependencySchema)
  .max(MAX_DEPENDENCIES, `must name at most ${MAX_DEPENDENCIES.toLocaleString('en')} jobs`);

const PLACE = /^#(?:0|[1-9]\d{0,4})$/;

/** Whether a dependency names an entry of its own batch, by its place, and not an id. */
export const isBatchPlace = (job: unknown): job is string => typeof job === 'string' && PLACE.test(job);

const VALUE_NAME = 'BERTH_ARRAY_VALUE';

const valueSchema = text.refine(
  (value) => bytes(`${VALUE_NAME}=${value}`) <= MAX_ARG_BYTES,
  'must be shorter than 128 KiB with its name',
);

export const arraySchema = z
  .strictObject({
    size: z.number().int().min(1).max(MAX_ARRAY_SIZE).optional().describe('How many jobs: indices from 0.'),
    values: z
      .array(valueSchema)
      .min(1, 'must hold at least one value')
      .max(MAX_VALUES, `must hold at most ${MAX_VALUES.toLocaleString('en')} values`)
      .optional()
      .describe('Instead of a size: one job for each, which finds its value in `BERTH_ARRAY_VALUE`.'),
    max_running: z.number().int().min(1).max(MAX_ARRAY_SIZE).optional().describe('So many at a time at most.'),
  })
  .refine(({ size, values }) => (size === undefined) !== (values === undefined), 'must have either size or values');
export type ArrayAsk = z.output<typeof arraySchema>;

/** Which of an array's jobs one is, as it stands in its spec. */
export interface ArrayTask {
  array_id: string;
  index: number;
  size: number;
  value?: string;
}

/** What a job of an array finds in its environment. */
export const toArrayEnv = ({ array_id, index, size, value }: ArrayTask): Record<string, string> => ({
  BERTH_ARRAY_ID: array_id,
  BERTH_ARRAY_INDEX: String(index),
  BERTH_ARRAY_SIZE: String(size),
  ...(value === undefined ? {} : { [VALUE_NAME]: value }),
});

const LEAST_WINDOW = 64;
const MOST_WINDOW = 256;

/** How many jobs of an array are pending at a time: enough that nobody waits for the next one. */
export const toArrayWindow = (max_running: number | undefined): number =>
  max_running === undefined ? MOST_WINDOW : Math.min(Math.max(2 * max_running, LEAST_WINDOW), MOST_WINDOW);

/** How many indices of an array are where. Those that are not jobs yet are pending. */
export type ArrayCounts = Record<JobState, number>;

/** The state of the whole: failed where any failed, once all have ended. */
export const toArrayState = ({ pending, running, completed, failed, cancelled }: ArrayCounts): JobState => {
  if (pending + running > 0) return running + completed + failed + cancelled > 0 ? 'running' : 'pending';
  if (failed > 0) return 'failed';
  return cancelled > 0 ? 'cancelled' : 'completed';
};

/** The part that has ended, from 0 to 1. */
export const toArrayProgress = ({ pending, running, completed, failed, cancelled }: ArrayCounts): number => {
  const ended = completed + failed + cancelled;
  return ended / (ended + pending + running);
};
