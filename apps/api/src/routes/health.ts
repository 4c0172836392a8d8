import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi';
import { addRoute } from '../add-route.js';
import type { Admission } from '../admission.js';
import { REFUSAL_REASONS } from '../refusals.js';

const healthSchema = z.object({
  status: z.enum(['healthy', 'unhealthy']),
  service: z.string(),
  redis: z.string().openapi({ description: '`ok`, or what is wrong' }),
  database: z.string().openapi({ description: 'The same, in the words of a kept format' }),
});

const readySchema = z.object({
  status: z.enum(['ready', 'not_ready']),
  reason: z.string().nullable(),
  accepting: z.boolean().openapi({ description: 'Whether jobs are accepted; everything else works in any case.' }),
  refusals: z
    .array(z.object({ reason: z.enum(REFUSAL_REASONS), message: z.string() }))
    .openapi({ description: 'Why they are not, and what to do.' }),
});

const json = <S extends z.ZodType>(description: string, schema: S) => ({
  description,
  content: { 'application/json': { schema } },
});

const healthRoute = createRoute({
  method: 'get',
  path: '/health',
  summary: 'Whether Berth can work: Redis answers',
  responses: { 200: json('It can', healthSchema), 503: json('It cannot, and why', healthSchema) },
});

const readyRoute = createRoute({
  method: 'get',
  path: '/ready',
  summary: 'Whether to send requests here: Redis answers and the process is not shutting down',
  responses: { 200: json('Yes', readySchema), 503: json('Not now', readySchema) },
});

interface HealthOptions {
  /** Throws where the broker does not answer. */
  ping: () => Promise<void>;
  admission: Pick<Admission, 'refusals'>;
  shutdown: AbortSignal;
}

/** Kept formats ask the same path: two of them of a coordinator, a third for its database. */
const SERVICE = 'coordinator';

export const addHealthRoutes = (app: OpenAPIHono, { ping, admission, shutdown }: HealthOptions): void => {
  const findProblem = async (): Promise<string | null> => {
    try {
      await ping();
      return null;
    } catch (error) {
      return `does not answer: ${(error as Error).message}`;
    }
  };

  addRoute(app, healthRoute, async (c) => {
    const problem = await findProblem();
    if (problem !== null)
      return c.json({ status: 'unhealthy', service: SERVICE, redis: problem, database: problem }, 503);
    return c.json({ status: 'healthy', service: SERVICE, redis: 'ok', database: 'ok' }, 200);
  });

  addRoute(app, readyRoute, async (c) => {
    const problem = await findProblem();
    const reason = shutdown.aborted ? 'the process is shutting down' : problem && `Redis ${problem}`;
    const refusals = [...admission.refusals];
    if (reason) return c.json({ status: 'not_ready', reason, accepting: false, refusals }, 503);
    return c.json({ status: 'ready', reason: null, accepting: refusals.length === 0, refusals }, 200);
  });
};
