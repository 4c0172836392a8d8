import { isTerminal } from '@berth/domain';
import type { JobRecord } from '@berth/store';
import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi';
import { addRoute } from '../add-route.js';
import { readOwnJob } from '../auth.js';
import type { Jobs } from '../jobs.js';
import { jobIdParams, jobStateSchema, toUsageAnswer, usageSchema } from '../schemas/job.js';
import { commonProblems, problem } from '../schemas/problem.js';

const jobUsageSchema = z
  .object({
    job_id: z.string().openapi({ format: 'uuid' }),
    state: jobStateSchema,
    attempt: z.number().int().nullable().openapi({ description: 'Whose usage it is. Null: none has begun.' }),
    final: z.boolean().openapi({ description: 'The attempt has ended; nothing will be added.' }),
    usage: usageSchema.nullable().openapi({
      description: 'Since the start of its container. Null: nobody has looked, as where it ended within a moment.',
    }),
  })
  .openapi('JobUsage');

const usageRoute = createRoute({
  method: 'get',
  path: '/v1/jobs/{id}/usage',
  summary: 'What a job uses, or has used: of the attempt that runs, else of the last one',
  request: { params: jobIdParams },
  responses: {
    200: { description: 'The usage', content: { 'application/json': { schema: jobUsageSchema } } },
    ...commonProblems,
    404: problem('There is no such job'),
  },
});

const toAnswer = (job: JobRecord) => {
  const shared = { job_id: job.job_id, state: job.state };
  if (job.state === 'running') {
    return { ...shared, attempt: job.attempt, final: false, usage: job.usage && toUsageAnswer(job.usage) };
  }
  const last = job.attempts.at(-1);
  const usage = last?.usage ? toUsageAnswer(last.usage) : null;
  return { ...shared, attempt: last?.attempt ?? null, final: last !== undefined || isTerminal(job.state), usage };
};

export const addUsageRoute = (app: OpenAPIHono, { jobs }: { jobs: Pick<Jobs, 'read'> }): void => {
  addRoute(app, usageRoute, async (c) => c.json(toAnswer(await readOwnJob(c, jobs)), 200));
};
