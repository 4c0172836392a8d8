import { AppError } from '@berth/domain';
import { USAGE_KEYS, type UsageSum } from '@berth/history';
import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi';
import { addRoute } from '../add-route.js';
import { toListedUser } from '../auth.js';
import { textParam, timeParam } from '../request-input.js';
import { commonProblems, problem } from '../schemas/problem.js';
import type { ReadUsageReport } from '../usage-report.js';

const DAY_MS = 24 * 3600 * 1000;
const DEFAULT_DAYS = 30;

const sumSchema = z
  .object({
    key: z.string().openapi({ description: 'The user, class or node.' }),
    jobs: z.number().int().openapi({ description: 'Jobs that finished; by node, jobs that ran there.' }),
    attempts: z.number().int(),
    run_seconds: z.number().openapi({ description: 'How long their containers ran.' }),
    cpu_seconds: z.number().openapi({ description: 'CPU time used, as far as it was measured.' }),
    cpu_reserved_seconds: z.number().openapi({ description: 'CPUs reserved, times how long.' }),
    memory_mb_seconds: z.number().openapi({ description: 'Megabytes reserved, times how long.' }),
    gpu_seconds: z.number().openapi({ description: 'GPUs reserved, or slices of them, times how long.' }),
  })
  .openapi('UsageSum');

const reportSchema = z
  .object({
    by: z.enum(USAGE_KEYS),
    from: z.string().openapi({ format: 'date-time' }),
    to: z.string().openapi({ format: 'date-time' }),
    usage: z.array(sumSchema),
  })
  .openapi('UsageReport');

const querySchema = z.strictObject({
  by: z.enum(USAGE_KEYS).default('user'),
  user: textParam(64).optional().openapi({ description: 'For operators; a user sees their own jobs only.' }),
  from: timeParam('Jobs that finished then or later. Default: 30 days before `to`.'),
  to: timeParam('Jobs that finished before. Default: now.'),
});

const usageRoute = createRoute({
  method: 'get',
  path: '/v1/usage',
  summary: 'What finished jobs have used and reserved, added up by user, class or node; most first',
  request: { query: querySchema },
  responses: {
    200: { description: 'The sums', content: { 'application/json': { schema: reportSchema } } },
    ...commonProblems,
    403: problem("Another user's, and you are no operator"),
  },
});

const toSeconds = (ms: number): number => ms / 1000;

const toAnswer = (sum: UsageSum): z.infer<typeof sumSchema> => ({
  key: sum.key,
  jobs: sum.jobs,
  attempts: sum.attempts,
  run_seconds: toSeconds(sum.run_ms),
  cpu_seconds: toSeconds(sum.cpu_ms),
  cpu_reserved_seconds: toSeconds(sum.cpu_reserved_ms),
  memory_mb_seconds: toSeconds(sum.memory_mb_ms),
  gpu_seconds: toSeconds(sum.gpu_ms),
});

interface UsageReportOptions {
  readUsageReport: ReadUsageReport;
  now: () => number;
}

export const addUsageReportRoute = (app: OpenAPIHono, { readUsageReport, now }: UsageReportOptions): void => {
  addRoute(app, usageRoute, async (c, { by, user: asked, from: first, to = now() }) => {
    const user = toListedUser(c, asked);
    const from = first ?? to - DEFAULT_DAYS * DAY_MS;
    if (from >= to) {
      throw new AppError('invalid_request', '`from` must be before `to`.', {
        problems: [{ path: 'query.from', message: 'is not before `to`' }],
      });
    }
    const usage = await readUsageReport({ by, from, to, user });
    const [since, until] = [new Date(from).toISOString(), new Date(to).toISOString()];
    return c.json({ by, from: since, to: until, usage: usage.map(toAnswer) }, 200);
  });
};
