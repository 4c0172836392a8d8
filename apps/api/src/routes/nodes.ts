import { AppError } from '@berth/domain';
import type { NodeDrains, WorkerRegistry } from '@berth/store';
import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi';
import type { Context } from 'hono';
import { addRoute } from '../add-route.js';
import { readPrincipal, requireOperator } from '../auth.js';
import { nodeParams, nodeSchema, toNodeAnswer } from '../schemas/node.js';
import { commonProblems, problem } from '../schemas/problem.js';

const node = (description: string) => ({ description, content: { 'application/json': { schema: nodeSchema } } });

const nodesRoute = createRoute({
  method: 'get',
  path: '/v1/nodes',
  summary: 'The machines and the Berth processes on them',
  responses: {
    200: {
      description: 'The nodes',
      content: { 'application/json': { schema: z.object({ nodes: z.array(nodeSchema) }) } },
    },
    ...commonProblems,
  },
});

const toChangeRoute = <Path extends string>(path: Path, summary: string) =>
  createRoute({
    method: 'post',
    path,
    summary,
    request: { params: nodeParams },
    responses: { 200: node('The node'), ...commonProblems, 404: problem('There is no such node') },
  });

const drainRoute = toChangeRoute('/v1/nodes/{id}/drain', 'Give a node no more jobs; what runs there goes on');
const resumeRoute = toChangeRoute('/v1/nodes/{id}/resume', 'Give a drained node jobs again');

interface NodeRoutesOptions {
  workers: WorkerRegistry;
  drains: NodeDrains;
}

export const addNodeRoutes = (app: OpenAPIHono, { workers, drains }: NodeRoutesOptions): void => {
  addRoute(app, nodesRoute, async (c) => {
    const sees_jobs = readPrincipal(c).role === 'operator';
    const nodes = await workers.readNodes();
    return c.json({ nodes: nodes.map((one) => toNodeAnswer(one, sees_jobs)) }, 200);
  });

  /** Twice is once. */
  const change = async (c: Context, set: (name: string) => Promise<boolean>) => {
    requireOperator(c);
    const name = c.req.param('id') ?? '';
    const known = await set(name);
    const found = (await workers.readNodes()).find((one) => one.workers.some((beat) => beat.node === name));
    if (!known || !found) throw toMissing(name, known);
    return toNodeAnswer(found, true);
  };
  addRoute(app, drainRoute, async (c) => c.json(await change(c, drains.drain), 200));
  addRoute(app, resumeRoute, async (c) => c.json(await change(c, drains.resume), 200));
};

const toMissing = (name: string, resumed: boolean): AppError =>
  new AppError(
    'not_found',
    resumed
      ? `${name} has not reported for long, so there is nothing to show. It takes jobs again once it is back.`
      : `There is no node ${name}. GET /v1/nodes lists those that report.`,
  );
