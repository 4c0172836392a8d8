import type { JobState, MachineView, PendingJob, Running, RunTimes, Scene } from '@berth/domain';
import type { JobRecord } from './job-record.js';
import { toReservation } from './reservations.js';
import type { Scripts } from './scripts.js';
import {
  type Answer,
  createShapes,
  type Question,
  toBuckets,
  toFields,
  toLedgerFields,
  toList,
  toPlaced,
  toQuotaBook,
  toRunning,
  toRunTimes,
  toSharing,
} from './sight-reply.js';
import { LOST_AFTER_MS, type Node, toHeartbeats, toLedger, toNodes } from './worker-registry.js';

/** So many jobs of a job's own shape are named; of those behind them it is known how many they are. */
const OWN_DEPTH = 64;
/** So many shapes are looked at: what a look costs does not grow with what waits. */
const MOST_SHAPES = 1_000;
const MOST_DEPENDENCIES = 100;
/** So many running jobs are looked at. */
const MOST_RUNNING = 1_000;

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
  running: Running;
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
  /** Jobs of each queue that are named. With 0, of others' jobs no more is known than how many there are and in which order. */
  depth?: number;
  /** With more choices of a shape and a machine, running jobs are counted only. */
  most_choices?: number;
}

/** What the scheduler has to know of a machine. */
export const toMachineView = (node: Node, reservation: MachineView['reservation']): MachineView => ({
  node: node.node,
  engine: node.engine,
  labels: node.labels,
  region: node.region,
  datacenter: node.datacenter,
  capacity: node.capacity,
  gpus: node.gpus,
  reserved: node.reserved,
  drained: node.drained,
  reservation,
  // With the jobs' ids, by which plans find the holds that end.
  gpu_holds: node.gpu_holds,
  classes: [...new Set(node.workers.flatMap((beat) => beat.classes))],
});

export const createSights = (scripts: Scripts) => ({
  /** What it reads is from one moment. */
  async read({ classes, job, user, depth = 0, most_choices = Number.MAX_SAFE_INTEGER }: SightOptions): Promise<Sight> {
    const question: Question = {
      ...{ classes, job: job?.job_id ?? '', user: user ?? '', depth, own_depth: OWN_DEPTH },
      after: (job?.spec.after ?? []).slice(0, MOST_DEPENDENCIES).map((one) => one.job),
      ...{ shapes: MOST_SHAPES, running: MOST_RUNNING, most_choices, lost_after_ms: LOST_AFTER_MS },
    };
    const answer = JSON.parse((await scripts.run('snapshot', JSON.stringify(question))) as string) as Answer;
    const shapes = createShapes();
    const { at, left_out } = answer;
    const beats = toHeartbeats(Object.values(toFields(answer.beats)), at).there;
    const ledgers = (engine: string) => toLedger({ ...toLedgerFields(answer, engine), running_jobs: [] });
    const nodes = toNodes(beats, ledgers, { now_ms: at, drained: new Set(toList(answer.drained)) });
    const there = nodes.filter(({ state }) => state !== 'lost');
    const machines = there.map((node) =>
      toMachineView(node, toReservation(toLedgerFields(answer, node.engine).reservation)),
    );
    const buckets = toBuckets(answer, classes, shapes);
    return {
      scene: { at, buckets, machines, sharing: toSharing(answer), ...toQuotaBook(answer) },
      running: toRunning(answer, there, shapes),
      times: toRunTimes(answer),
      shapes_left_out: left_out,
      lost_nodes: nodes.filter(({ state }) => state === 'lost').map(({ node }) => node),
      placed: job ? toPlaced(answer, job, shapes) : null,
    };
  },
});

export type Sights = ReturnType<typeof createSights>;
