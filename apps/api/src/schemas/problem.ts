import { z } from '@hono/zod-openapi';

const problemSchema = z
  .object({
    type: z.string(),
    title: z.string(),
    status: z.number().int(),
    detail: z.string(),
    code: z.string().openapi({ description: 'Stable: branch on this.' }),
    errors: z
      .array(z.object({ path: z.string(), message: z.string() }))
      .optional()
      .openapi({ description: 'Everything that is wrong, with its JSON path.' }),
  })
  .openapi('Problem');

export const problem = (description: string) => ({
  description,
  content: { 'application/problem+json': { schema: problemSchema } },
});

/** What any route may answer. */
export const commonProblems = {
  400: problem('The request is not valid'),
  401: problem('The API key is missing or not valid; none is needed on this machine until the first is made'),
  503: problem('Redis does not answer, or no jobs are accepted now; see Retry-After'),
};

export { problemSchema };
