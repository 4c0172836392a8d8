import { JOB_STATES, type ResourceClass } from '@berth/domain';
import type { JobList, JobTotals } from '@berth/store';
import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi';
import { addRoute } from '../add-route.js';
import { commonProblems } from '../schemas/problem.js';

const classSchema = z
  .object({
    name: z.string(),
    max_cpus: z.number(),
    max_memory_mb: z.number().int(),
    max_gpus: z.number().int(),
    profile: z.enum(['standard', 'strict']),
  })
  .openapi('ResourceClass');

const classesRoute = createRoute({
  method: 'get',
  path: '/v1/classes',
  summary: 'The resource classes, smallest first; a job goes to the first that holds it',
  responses: {
    200: {
      description: 'The classes',
      content: { 'application/json': { schema: z.object({ classes: z.array(classSchema) }) } },
    },
    ...commonProblems,
  },
});

const count = z.number().int();

const statsRoute = createRoute({
  method: 'get',
  path: '/v1/stats',
  summary: 'How many jobs there are, and have been',
  responses: {
    200: {
      description: 'The counts',
      content: {
        'application/json': {
          schema: z.object({
            jobs: z
              .object({ pending: count, running: count, completed: count, failed: count, cancelled: count })
              .openapi({ description: 'Jobs that are kept, by state.' }),
            classes: z.array(
              z.object({
                name: z.string(),
                backlog: count.openapi({ description: 'Pending jobs that wait for room in the queue.' }),
                queued: count.openapi({ description: 'Pending jobs that workers are being offered.' }),
              }),
            ),
            totals: z
              .object({ submitted: count, completed: count, failed: count, cancelled: count })
              .openapi({ description: 'Since the installation began, forgotten jobs included.' }),
          }),
        },
      },
    },
    ...commonProblems,
  },
});

interface StatsOptions {
  list: JobList;
  classes: ResourceClass[];
  readTotals: () => Promise<JobTotals>;
}

const sum = (counts: { count: number }[]): number => counts.reduce((total, { count: more }) => total + more, 0);

const toTotals = ({ submitted, finished }: JobTotals) => {
  const inState = (state: string) => sum(finished.filter((one) => one.state === state));
  return {
    submitted: sum(submitted),
    completed: inState('completed'),
    failed: inState('failed'),
    cancelled: inState('cancelled'),
  };
};

export const addStatsRoutes = (app: OpenAPIHono, { list, classes, readTotals }: StatsOptions): void => {
  addRoute(app, classesRoute, (c) => c.json({ classes }, 200));

  const readClass = async ({ name }: ResourceClass) => {
    const { backlog, dispatched } = await list.countQueued(name);
    return { name, backlog, queued: dispatched };
  };

  addRoute(app, statsRoute, async (c) => {
    const [jobs, queued, totals] = await Promise.all([
      list.countByState(JOB_STATES),
      Promise.all(classes.map(readClass)),
      readTotals(),
    ]);
    return c.json({ jobs, classes: queued, totals: toTotals(totals) }, 200);
  });
};
