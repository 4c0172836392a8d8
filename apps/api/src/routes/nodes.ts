import type { Resources } from '@berth/domain';
import type { Heartbeat, Node, WorkerRegistry } from '@berth/store';
import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi';
import { addRoute } from '../add-route.js';
import { commonProblems } from '../schemas/problem.js';

const resourcesSchema = z.object({ cpus: z.number(), memory_mb: z.number(), gpus: z.number() }).openapi('Resources');

const workerSchema = z
  .object({
    worker: z.string(),
    version: z.string(),
    engine_version: z.string(),
    oci_runtime: z.string(),
    classes: z.array(z.string()),
    running: z.number().int(),
    started_at: z.string().openapi({ format: 'date-time' }),
    last_heartbeat: z.string().openapi({ format: 'date-time' }),
  })
  .openapi('Worker');

const nodeSchema = z
  .object({
    node: z.string(),
    state: z.enum(['ready', 'lost']),
    capacity: resourcesSchema,
    reserved: resourcesSchema,
    workers: z.array(workerSchema),
    last_heartbeat: z.string().openapi({ format: 'date-time' }),
  })
  .openapi('Node');

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

const toTime = (ms: number): string => new Date(ms).toISOString();

const toResourcesAnswer = ({ centicpus, memory_mb, gpus }: Resources) => ({ cpus: centicpus / 100, memory_mb, gpus });

const toWorkerAnswer = (beat: Heartbeat) => ({
  worker: beat.worker,
  version: beat.version,
  engine_version: beat.engine_version,
  oci_runtime: beat.oci_runtime,
  classes: beat.classes,
  running: beat.running,
  started_at: toTime(beat.started_at),
  last_heartbeat: toTime(beat.at),
});

const toNodeAnswer = (node: Node) => ({
  node: node.node,
  state: node.state,
  capacity: toResourcesAnswer(node.capacity),
  reserved: toResourcesAnswer(node.reserved),
  workers: node.workers.map(toWorkerAnswer),
  last_heartbeat: toTime(node.last_heartbeat),
});

export const addNodeRoutes = (
  app: OpenAPIHono,
  { workers, now }: { workers: WorkerRegistry; now: () => number },
): void => {
  addRoute(app, nodesRoute, async (c) => c.json({ nodes: (await workers.readNodes(now())).map(toNodeAnswer) }, 200));
};
