import { CAUSES } from '@berth/domain';
import { z } from '@hono/zod-openapi';
import { integerParam, textParam } from '../request-input.js';
import { jobStateSchema, storedSpecSchema } from './job.js';

const count = z.number().int();
const time = z.string().openapi({ format: 'date-time' });

export const arrayIdParams = z.object({ id: z.string().openapi({ format: 'uuid' }) });

export const arraySchema = z
  .object({
    array_id: z.string().openapi({ format: 'uuid' }),
    user: z.string(),
    state: jobStateSchema.openapi({ description: 'Once all have ended, `failed` where any failed.' }),
    cause: z.enum(CAUSES).nullable(),
    message: z.string().nullable(),
    waiting_for: z.enum(['dependencies']).nullable(),
    class: z.string(),
    size: count,
    max_running: count.nullable(),
    counts: z.object({ pending: count, running: count, completed: count, failed: count, cancelled: count }),
    progress: z.number().openapi({ description: 'The part that has ended, from 0 to 1.' }),
    created_at: time,
    finished_at: time.nullable(),
    spec: storedSpecSchema.openapi({ description: 'What its jobs have in common.' }),
  })
  .openapi('Array');
type Answer = z.infer<typeof arraySchema>;
export type ArrayAnswer = Omit<Answer, 'spec'> & { spec: Omit<Answer['spec'], 'name'> & { name?: string | undefined } };

export const arrayListSchema = z
  .object({ arrays: z.array(arraySchema), next_cursor: z.string().nullable() })
  .openapi('ArrayList');

export const arrayEntriesSchema = z
  .object({
    jobs: z.array(
      z.object({
        index: count,
        state: jobStateSchema,
        job_id: z
          .string()
          .nullable()
          .openapi({ description: 'The latest job of the index. Null: it has none yet, or it is forgotten.' }),
      }),
    ),
    next_cursor: z.string().nullable().openapi({ description: 'A page may be empty and still go on.' }),
  })
  .openapi('ArrayJobs');

const page = (limit: number) => ({
  limit: integerParam({ min: 1, max: 1_000 }, { default: limit }).default(limit),
  cursor: z.string().min(1).max(256).optional(),
});

export const listArraysQuerySchema = z.strictObject({
  user: textParam(64).optional().openapi({ description: 'For operators; a user sees their own only.' }),
  ...page(50),
});

export const arrayJobsQuerySchema = z.strictObject({ state: jobStateSchema.optional(), ...page(100) });
