import {
  type Bucket,
  type Condition,
  type JobState,
  type MachineView,
  NO_USE,
  type PendingJob,
  type RunningJob,
  type RunTimes,
  type Scene,
  toShape,
  toUserOf,
} from '@berth/domain';
import type { Redis } from 'ioredis';
import type { JobRecord } from './job-record.js';
import type { Keys } from './keys.js';
import type { Quotas } from './quotas.js';
import type { Reservations } from './reservations.js';
import type { Scripts } from './scripts.js';
import { createSightReaders, type Pair } from './sight-readers.js';
import type { Node, WorkerRegistry } from './worker-registry.js';

/** So many jobs of a job's own shape are named; of those behind them it is known how many they are. */
const OWN_DEPTH = 64;
/** So many shapes are looked at: what a look costs does not grow with what waits. */
const MOST_SHAPES = 1_000;
const MOST_DEPENDENCIES = 100;

/** A job that waits, and its place. */
export interface PlacedJob {
  job: PendingJob;
  /** Jobs of its own shape before it; null: it does not wait for a machine. */
  ahead_in_queue: number | null;
  /** Jobs of its user before it, also of other shapes. */
  ahead_of_user: number;
}

/** One look at all that decides what runs next. */
export interface Sight {
  scene: Scene;
  running: RunningJob[];
  times: RunTimes;
  /** Shapes that there was no room to look at. */
  shapes_left_out: number;
  lost_nodes: string[];
  /** The job that was asked for; null where none was, or it is not there any more. */
  placed: (PlacedJob & { state: JobState }) | null;
}

export interface SightOptions {
  classes: string[];
  /** With its dependencies. */
  job?: Pick<JobRecord, 'job_id' | 'spec'>;
  /** Whose next job it is about, where there is none yet. */
  user?: string | undefined;
  /** Jobs of each queue that are named. */
  depth?: number;
}

const toScore = (text: string): number => (text === '-inf' ? NO_USE : Number(text));

const toBuckets = (queues: string[][], classes: string[]): Record<string, Bucket[]> => {
  const found = new Map<string, Bucket>();
  const buckets: Record<string, Bucket[]> = Object.fromEntries(classes.map((name) => [name, []]));
  for (const [name = '', user = '', rank = '', text = '', count, ...jobs] of queues) {
    const key = `${name}|${user}`;
    const bucket = found.get(key) ?? { user, rank: toScore(rank), queues: [] };
    if (!found.has(key)) buckets[name]?.push(bucket);
    found.set(key, bucket);
    const named = jobs.flatMap((job_id, i) => (i % 2 === 0 ? [{ job_id, score: Number(jobs[i + 1]) }] : []));
    bucket.queues.push({ text, shape: toShape(text), count: Number(count), jobs: named });
  }
  return buckets;
};

type JobReply = [string[], number, number, string, string[]];

const toPlaced = (
  [fields, place, ahead, rank, after]: JobReply,
  { job_id, spec }: Pick<JobRecord, 'job_id' | 'spec'>,
) => {
  const [state, name = '', user = '', bucket, shape = '', priority, created_at, hold, due_at, held_due_at, left] =
    fields;
  const due = due_at || held_due_at;
  const conditions = new Map((spec.after ?? []).map((one) => [one.job, one.condition]));
  const isOpen = (other: string): boolean => other === 'pending' || other === 'running';
  const dependencies = after.flatMap((id, i) => {
    const other = after[i + 1] as JobState;
    const condition: Condition = conditions.get(id) ?? 'completed';
    return i % 2 === 0 && isOpen(other) ? [{ job: id, condition, state: other }] : [];
  });
  const job: PendingJob = {
    ...{ job_id, user, class: name, bucket: bucket || user, shape: toShape(shape), spec, rank: toScore(rank) },
    ...{ priority: Number(priority), created_at: Number(created_at), held: hold !== '' },
    ...{ due_at: due ? Number(due) : null, after_left: Number(left || 0), dependencies },
  };
  return { job, state: state as JobState, ahead_in_queue: place < 0 ? null : place, ahead_of_user: ahead };
};

/** What the scheduler has to know of a machine. */
export const toMachineView = (node: Node, reservation: MachineView['reservation']): MachineView => ({
  ...{ node: node.node, engine: node.engine, labels: node.labels, region: node.region, datacenter: node.datacenter },
  ...{ capacity: node.capacity, gpus: node.gpus, reserved: node.reserved, drained: node.drained, reservation },
  // With the jobs' ids, by which plans find the holds that end.
  gpu_holds: node.gpu_holds,
  classes: [...new Set(node.workers.flatMap((beat) => beat.classes))],
});

const NO_SHAPE = toShape('0,0,0');

interface SightParts {
  scripts: Scripts;
  workers: Pick<WorkerRegistry, 'readNodes'>;
  reservations: Pick<Reservations, 'read'>;
  quotas: Pick<Quotas, 'readTallies'>;
}

export const createSights = (redis: Redis, keys: Keys, { scripts, workers, reservations, quotas }: SightParts) => {
  const { readRunning, readSharing, readTimes, readQuotas } = createSightReaders(redis, keys, quotas.readTallies);
  return {
    /** What it reads is from one moment to the next; a change in between shows in a part of it. */
    async read({ classes, job, user, depth = 1 }: SightOptions): Promise<Sight> {
      const after = (job?.spec.after ?? []).slice(0, MOST_DEPENDENCIES).map((one) => one.job);
      const asked = [job?.job_id ?? '', depth, OWN_DEPTH, MOST_SHAPES, JSON.stringify(after)];
      const [nodes, reply] = await Promise.all([
        workers.readNodes(),
        scripts.run('snapshot', ...asked, ...classes) as Promise<[number, number, string[][], JobReply | []]>,
      ]);
      const [at, shapes_left_out, queues, own] = reply;
      const buckets = toBuckets(queues, classes);
      const placed = job && own.length > 0 ? toPlaced(own as JobReply, job) : null;
      const there = nodes.filter(({ state }) => state !== 'lost');
      const [kept, running] = await Promise.all([
        reservations.read(there.map(({ engine }) => engine)),
        readRunning(there),
      ]);
      const waiting = Object.entries(buckets).flatMap(([name, all]) =>
        all.flatMap(({ user, queues: own_queues }) =>
          own_queues.map(({ shape }) => ({ class: name, bucket: user, shape })),
        ),
      );
      // The job may be of another class after a change.
      const own_user = placed?.job.user ?? user;
      const own_jobs = own_user ? classes.map((name) => ({ class: name, bucket: own_user, shape: NO_SHAPE })) : [];
      const jobs = [...waiting, ...running, ...(placed ? [placed.job] : []), ...own_jobs];
      const pairs = new Map(jobs.map((one) => [`${toUserOf(one)}|${one.class}`, [toUserOf(one), one.class] as Pair]));
      const [sharing, times, book] = await Promise.all([
        readSharing([...pairs.values()]),
        readTimes([...pairs.values()]),
        readQuotas(jobs),
      ]);
      const machines = there.map((node, i) => toMachineView(node, kept[i]));
      return {
        scene: { at, buckets, machines, sharing, ...book },
        running,
        times,
        shapes_left_out,
        lost_nodes: nodes.filter(({ state }) => state === 'lost').map(({ node }) => node),
        placed,
      };
    },
  };
};

export type Sights = ReturnType<typeof createSights>;
