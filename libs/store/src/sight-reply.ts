import {
  type Bucket,
  type Condition,
  DEFAULT_HALF_LIFE_SECONDS,
  type JobState,
  NO_USE,
  type PendingJob,
  type QueuedJob,
  type Quota,
  type QuotaBook,
  type Running,
  type RunningJob,
  type RunTimes,
  type Scene,
  type Shape,
  type ShapeQueue,
  toShape,
} from '@berth/domain';
import type { JobRecord } from './job-record.js';
import { toTally } from './quotas.js';
import type { Node } from './worker-registry.js';

/** What `snapshot.lua` is asked. */
export interface Question {
  classes: string[];
  /** The job that it is about, or ''. */
  job: string;
  /** Ids of those that it runs after. */
  after: string[];
  /** Whose next job it is about, where there is none yet; or ''. */
  user: string;
  /** Jobs of each queue that are named, and of the job's own. With 0, the first of each where its user is the job's, or a machine is kept free. */
  depth: number;
  own_depth: number;
  /** So many shapes, and running jobs, at the most. */
  shapes: number;
  running: number;
  /** Of shapes times machines: with more, nothing is told of running jobs. */
  most_choices: number;
  lost_after_ms: number;
}

/** Lua has one empty table, for lists as for objects. */
type List<T> = T[] | Record<string, never>;
type Field = string | false;

export const toList = <T>(list: List<T>): T[] => (Array.isArray(list) ? list : []);
export const toFields = (flat: List<string>): Record<string, string> => {
  const list = toList(flat);
  return Object.fromEntries(list.flatMap((name, i) => (i % 2 === 0 ? [[name, list[i + 1] ?? '']] : [])));
};

/** The queues of a user in a class: their shapes, how many jobs are in each, and where its first jobs are named, its number from 1, and id and score of each. */
type BucketReply = [
  className: string,
  user: string,
  rank: string,
  shapes: string[],
  counts: number[],
  heads: List<[number, List<string>]>,
];
type JobReply = [fields: Field[], place: number, ahead: number, rank: string, after: List<string>];
type EngineReply = [reserved: Field[], gpus: List<string>, reservation: List<string>, running: number];

/** What `snapshot.lua` answers. Flat lists are hashes; false is what is not there. */
export interface Answer {
  at: number;
  left_out: number;
  buckets: List<BucketReply>;
  beats: List<string>;
  engines: Record<string, EngineReply>;
  /** By engine, those that are not lost; false where there are too many choices. */
  running: Record<string, List<Field>> | List<never> | false;
  drained: List<string>;
  /** By `user|class`. */
  shares: Record<string, [user: string, weight: Field, duration: Field, run_times: List<string>]>;
  cluster: Field[];
  half_life_seconds: Field;
  quotas: List<string>;
  tallies: Record<string, Field[]>;
  job: JobReply | List<never>;
}

const toNumber = (text: string): number => (text === '-inf' ? NO_USE : Number(text));

/** Shapes by their text, each parsed once: thousands of queues have a few dozen of them. */
export const createShapes = () => {
  const known = new Map<string, Shape>();
  return (text: string): Shape => {
    const found = known.get(text) ?? toShape(text);
    known.set(text, found);
    return found;
  };
};
type Shapes = ReturnType<typeof createShapes>;

/** Of a bucket with nameless jobs: order is all that matters of them, and room for those behind each. */
const PLACE_STEP = 2 ** 20;

const toJobs = (head: List<string>): QueuedJob[] =>
  toList(head).flatMap((job_id, i, list) => (i % 2 === 0 ? [{ job_id, score: Number(list[i + 1]) }] : []));

const toQueues = ([name, user, , texts, counts, heads]: BucketReply, shapes: Shapes): ShapeQueue[] => {
  const named = new Map(toList(heads).map(([number, head]) => [number - 1, toJobs(head)]));
  return texts.map((text, place) => ({
    text,
    shape: shapes(text),
    count: counts[place] ?? 0,
    jobs: named.get(place) ?? [{ job_id: `${name}|${user}|${text}+`, score: place * PLACE_STEP }],
  }));
};

export const toBuckets = ({ buckets }: Answer, classes: string[], shapes: Shapes): Record<string, Bucket[]> => {
  const all: Record<string, Bucket[]> = Object.fromEntries(classes.map((name) => [name, []]));
  for (const bucket of toList(buckets)) {
    const [name, user, rank] = bucket;
    all[name]?.push({ user, rank: toNumber(rank), queues: toQueues(bucket, shapes) });
  }
  return all;
};

/** What an engine's ledger says, as the worker registry reads it. */
export const toLedgerFields = ({ engines }: Answer, engine: string) => {
  const [reserved = [], gpus = [], reservation = []] = engines[engine] ?? [];
  return {
    reserved: reserved.map((field) => field || null),
    gpus: toFields(gpus),
    reservation: toFields(reservation),
  };
};

/** Fields of each running job. */
const RUNNING_WIDTH = 8;

const toRunningJobs = (running: Record<string, List<Field>>, nodes: Node[], shapes: Shapes): RunningJob[] =>
  nodes.flatMap(({ engine }) => {
    const all = toList(running[engine] ?? []);
    const found: RunningJob[] = [];
    for (let i = 0; i < all.length; i += RUNNING_WIDTH) {
      const [job_id, shape, name, user, bucket, uuids, started_at, claimed_at] = all.slice(i, i + RUNNING_WIDTH);
      if (!job_id || !shape || !name || !user) continue;
      const gpu_uuids = uuids ? uuids.split(',') : [];
      const began_at = Number(started_at || claimed_at);
      found.push({ engine, job_id, class: name, bucket: bucket || user, shape: shapes(shape), gpu_uuids, began_at });
    }
    return found.sort((a, b) => (a.job_id < b.job_id ? -1 : 1));
  });

/** What runs on these machines. */
export const toRunning = ({ engines, running }: Answer, nodes: Node[], shapes: Shapes): Running => ({
  count: nodes.reduce((sum, { engine }) => sum + (engines[engine]?.[3] ?? 0), 0),
  jobs: running === false ? null : toRunningJobs(Array.isArray(running) ? {} : running, nodes, shapes),
});

export const toSharing = ({ shares, cluster, half_life_seconds }: Answer): Scene['sharing'] => {
  const [centicpus, memory_mb, gpus] = cluster.map((field) => Number(field || 0));
  const all = Object.entries(shares);
  return {
    cluster: { centicpus: centicpus ?? 0, memory_mb: memory_mb ?? 0, gpus: gpus ?? 0 },
    half_life_ms: Number(half_life_seconds || DEFAULT_HALF_LIFE_SECONDS) * 1_000,
    weights: Object.fromEntries(all.flatMap(([, [user, weight]]) => (weight ? [[user, Number(weight)]] : []))),
    durations: Object.fromEntries(all.flatMap(([pair, [, , ms]]) => (ms ? [[pair, Number(ms)]] : []))),
  };
};

export const toRunTimes = ({ shares }: Answer): RunTimes =>
  Object.fromEntries(Object.entries(shares).map(([pair, [, , , times]]) => [pair, toList(times).map(Number)]));

export const toQuotaBook = ({ quotas, tallies }: Answer): QuotaBook => ({
  quotas: Object.fromEntries(
    Object.entries(toFields(quotas)).map(([group, text]) => [group, JSON.parse(text) as Quota]),
  ),
  tallies: Object.fromEntries(Object.entries(tallies).map(([group, counts]) => [group, toTally(counts)])),
});

/** The job that was asked for; null where it is not there any more. */
export const toPlaced = (
  { job: reply }: Answer,
  { job_id, spec }: Pick<JobRecord, 'job_id' | 'spec'>,
  shapes: Shapes,
) => {
  if (!Array.isArray(reply) || reply.length === 0) return null;
  const [fields, place, ahead, rank, others] = reply as JobReply;
  const [state, name, user, bucket, shape, priority, created_at, hold, due_at, held_due_at, left] = fields.map(
    (field) => field || '',
  );
  const due = due_at || held_due_at;
  const conditions = new Map((spec.after ?? []).map((one) => [one.job, one.condition]));
  const isOpen = (other: string): boolean => other === 'pending' || other === 'running';
  const after = toList(others);
  const dependencies = after.flatMap((id, i) => {
    const other = after[i + 1] as JobState;
    const condition: Condition = conditions.get(id) ?? 'completed';
    return i % 2 === 0 && isOpen(other) ? [{ job: id, condition, state: other }] : [];
  });
  const job: PendingJob = {
    ...{ job_id, user: user ?? '', class: name ?? '', bucket: bucket || user || '', shape: shapes(shape ?? '') },
    ...{ spec, rank: toNumber(rank), priority: Number(priority), created_at: Number(created_at), held: hold !== '' },
    ...{ due_at: due ? Number(due) : null, after_left: Number(left || 0), dependencies },
  };
  return { job, state: state as JobState, ahead_in_queue: place < 0 ? null : place, ahead_of_user: ahead };
};
