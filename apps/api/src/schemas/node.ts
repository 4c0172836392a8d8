import type { Resources } from '@berth/domain';
import type { Heartbeat, Node } from '@berth/store';
import { z } from '@hono/zod-openapi';

const time = z.string().openapi({ format: 'date-time' });

const resourcesSchema = z.object({ cpus: z.number(), memory_mb: z.number(), gpus: z.number() }).openapi('Resources');

const workerSchema = z
  .object({
    worker: z.string(),
    version: z.string(),
    engine_version: z.string(),
    oci_runtime: z.string(),
    classes: z.array(z.string()),
    running: z.number().int(),
    started_at: time,
    last_heartbeat: time,
  })
  .openapi('Worker');

const gpuSchema = z
  .object({
    index: z.number().int(),
    uuid: z.string(),
    name: z.string(),
    memory_mb: z.number().int(),
    held_by: z
      .array(z.object({ job_id: z.string().nullable(), memory_mb: z.number().int() }))
      .openapi({ description: 'Who holds how much of it. The ids of jobs are for operators; others get null.' }),
  })
  .openapi('NodeGpu');

export const nodeSchema = z
  .object({
    node: z.string(),
    state: z.enum(['ready', 'draining', 'drained', 'lost']).openapi({
      description:
        '`draining`: takes no more jobs and has some yet; `drained`: has none; `lost`: silent for half a minute.',
    }),
    labels: z.record(z.string(), z.string()),
    region: z.string(),
    datacenter: z.string(),
    capacity: resourcesSchema.openapi({ description: 'What jobs may use.' }),
    reserved: resourcesSchema.openapi({ description: 'What running jobs have reserved; GPUs that any job holds.' }),
    used: z
      .object({ cpus: z.number(), memory_mb: z.number() })
      .nullable()
      .openapi({ description: 'Measured: in use on the machine, by anyone. Null: the worker cannot see its machine.' }),
    disk: z
      .object({ total_mb: z.number(), free_mb: z.number() })
      .nullable()
      .openapi({ description: 'Where the engine keeps its data. Null: the worker cannot see it.' }),
    gpus: z.array(gpuSchema),
    running: z.number().int(),
    running_jobs: z.array(z.string()).openapi({ description: 'The first 100 ids, for operators.' }),
    versions: z.array(z.string()).openapi({ description: 'Of the Berth on it; several during an upgrade.' }),
    workers: z.array(workerSchema),
    last_heartbeat: time,
  })
  .openapi('Node');

export const nodeParams = z.object({
  id: z.string().min(1).max(128).openapi({ description: 'The name of the node.' }),
});

const MOST_IDS = 100;

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

const toGpuAnswers = ({ gpus, gpu_holds }: Node, sees_jobs: boolean) =>
  gpus.map((gpu) => ({
    ...gpu,
    held_by: gpu_holds
      .filter(({ uuid }) => uuid === gpu.uuid)
      .map(({ job_id, memory_mb }) => ({ job_id: sees_jobs ? job_id : null, memory_mb: memory_mb ?? gpu.memory_mb })),
  }));

/** `sees_jobs`: whether the asker may know the ids of everybody's jobs. */
export const toNodeAnswer = (node: Node, sees_jobs: boolean) => ({
  node: node.node,
  state: node.state,
  labels: node.labels,
  region: node.region,
  datacenter: node.datacenter,
  capacity: toResourcesAnswer(node.capacity),
  reserved: toResourcesAnswer(node.reserved),
  used: node.used,
  disk: node.disk,
  gpus: toGpuAnswers(node, sees_jobs),
  running: node.running_jobs.length,
  running_jobs: sees_jobs ? node.running_jobs.slice(0, MOST_IDS) : [],
  versions: [...new Set(node.workers.map(({ version }) => version))],
  workers: node.workers.map(toWorkerAnswer),
  last_heartbeat: toTime(node.last_heartbeat),
});
