import { createRoute, type OpenAPIHono } from '@hono/zod-openapi';
import { addRoute } from '../add-route.js';
import { readOwnJob, readPrincipal } from '../auth.js';
import type { Explainer } from '../explain.js';
import { fitsEmpty, type Sees, toExplainedAnswer, toNotPendingAnswer } from '../explain-answer.js';
import type { Jobs } from '../jobs.js';
import { readJsonBody } from '../request-body.js';
import { explanationSchema, simulationSchema } from '../schemas/explain.js';
import { jobIdParams, submitBodySchema } from '../schemas/job.js';
import { commonProblems, problem } from '../schemas/problem.js';

const explainRoute = createRoute({
  method: 'get',
  path: '/v1/jobs/{id}/explain',
  summary: 'Why a job is not running, what would let it start now, and when it will',
  request: { params: jobIdParams },
  responses: {
    200: {
      description: 'Every constraint that binds now. Of a job that runs or has ended, that it does',
      content: { 'application/json': { schema: explanationSchema } },
    },
    ...commonProblems,
    404: problem('There is no such job'),
  },
});

const simulateRoute = createRoute({
  method: 'post',
  path: '/v1/jobs:simulate',
  summary: 'What would become of a job if it were submitted now: where, when, and whom it delays. Changes nothing',
  request: { body: { required: true, content: { 'application/json': { schema: submitBodySchema } } } },
  responses: {
    200: {
      description: 'What would become of it',
      content: { 'application/json': { schema: simulationSchema } },
    },
    ...commonProblems,
    413: problem('The body is larger than 256 KiB'),
    415: problem('The body is not JSON'),
    422: problem('No class holds it, or its registry is not allowed'),
  },
});

const MOST_IDS = 20;

interface ExplainRoutesOptions {
  jobs: Pick<Jobs, 'read' | 'prepare'>;
  explainer: Explainer;
  now: () => number;
}

export const addExplainRoutes = (app: OpenAPIHono, { jobs, explainer, now }: ExplainRoutesOptions): void => {
  addRoute(app, explainRoute, async (c) => {
    const job = await readOwnJob(c, jobs);
    const is_operator = readPrincipal(c).role === 'operator';
    const sees: Sees = (id) => is_operator || id === job.job_id;
    const explained = await explainer.explain(job);
    // Between the two looks it may have started.
    if (!explained) return c.json(toNotPendingAnswer(await jobs.read(job.job_id), now()), 200);
    return c.json({ job_id: job.job_id, state: 'pending' as const, ...toExplainedAnswer(explained, sees) }, 200);
  });

  addRoute(app, simulateRoute, async (c) => {
    const { user, role } = readPrincipal(c);
    const job = jobs.prepare(await readJsonBody(c), { user });
    const simulated = await explainer.simulate(job);
    const sees: Sees = () => role === 'operator';
    const { delayed, explanation } = simulated;
    return c.json(
      {
        class: job.class,
        fits: explanation.nodes.some(fitsEmpty),
        ...toExplainedAnswer(simulated, sees),
        delays: { count: delayed.count, job_ids: delayed.job_ids.filter(sees).slice(0, MOST_IDS) },
      },
      200,
    );
  });
};
