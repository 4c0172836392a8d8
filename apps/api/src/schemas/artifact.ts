import { z } from '@hono/zod-openapi';
import { integerParam } from '../request-input.js';
import { jobIdParams } from './job.js';
import { commonProblems, problem } from './problem.js';

const MOST = 1_000;

const whichQuery = {
  attempt: integerParam(
    { min: 1, max: 1_000_000 },
    { description: 'Default: the last one that kept files.' },
  ).optional(),
  partial: z.enum(['true', 'false']).optional().openapi({
    description: 'Of a running job: what is there now, collected for this request. An ended job takes no notice of it.',
  }),
};

export const artifactQuerySchema = z.strictObject(whichQuery);

export const artifactListQuerySchema = z.strictObject({
  ...whichQuery,
  limit: integerParam({ min: 1, max: MOST }, { default: MOST }).default(MOST),
  cursor: z.string().min(1).max(4_096).optional(),
});

export const artifactPathParams = jobIdParams.extend({
  path: z.string().openapi({ description: 'As the list has it, with plain slashes between its parts.' }),
});

export const artifactListSchema = z
  .object({
    job_id: z.string().openapi({ format: 'uuid' }),
    attempt: z.number().int().nullable().openapi({ description: 'Null: no attempt has kept files.' }),
    epoch: z.number().int().nullable(),
    partial: z.boolean().openapi({ description: 'Seen while the job ran.' }),
    files: z
      .array(
        z.object({
          path: z.string().openapi({ description: 'Below /workspace.' }),
          bytes: z.number().int(),
          sha256: z.string(),
          url: z.string().openapi({ description: 'On this server.' }),
        }),
      )
      .openapi({ description: 'In the order of their paths.' }),
    total_files: z.number().int(),
    total_bytes: z.number().int(),
    refused: z.number().int().openapi({ description: 'What was not kept: links, devices, what is beyond the limits.' }),
    notes: z.array(z.string()).openapi({ description: 'Why, for the first of them.' }),
    next_cursor: z.string().nullable(),
  })
  .openapi('ArtifactList');
export type ArtifactListAnswer = z.infer<typeof artifactListSchema>;

const binary = z.string().openapi({ format: 'binary' });

export const bytesOf = (type: string, description: string) => ({
  description,
  content: { [type]: { schema: binary } },
});

export const artifactProblems = {
  ...commonProblems,
  404: problem('There is no such job, attempt or file'),
  409: problem('With `partial`: nobody can look into the job now'),
  410: problem('The files are kept no longer'),
};
