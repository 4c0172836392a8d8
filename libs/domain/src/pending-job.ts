import { NO_USE, type ShareLevel } from './fair-share.js';
import { countJobs, removeJob } from './fill.js';
import type { JobState } from './job.js';
import { type JobSpec, toAsk, toJobShape } from './job-spec.js';
import { ALL_USERS, type Candidate } from './judge.js';
import { type Bucket, type ShapeQueue, type Snapshot, toQueueScore } from './pick.js';
import { toShapeText } from './placement.js';
import { findClass, type ResourceClass } from './resource-class.js';
import type { Condition, Dependency } from './work-shape.js';

/** A job or an array whose end the job waits for. */
export interface OpenDependency extends Dependency {
  condition: Condition;
  state: JobState;
}

/** What of a spec decides where a job may run. */
export type PlacementSpec = Pick<
  JobSpec,
  'cpus' | 'memory_mb' | 'gpus' | 'node_selector' | 'eligible_regions' | 'eligible_datacenters' | 'timeout_seconds'
>;

/** A pending job, with all that may keep it from waiting for a machine. Times are Unix ms. */
export interface PendingJob extends Candidate {
  user: string;
  /** Its user's. */
  rank: ShareLevel;
  spec: PlacementSpec;
  priority: number;
  created_at: number;
  held: boolean;
  /** Not before this time: back-off. It goes on while the job is held. */
  due_at: number | null;
  /** How many of the jobs that it is to run after have not ended, and those of them that were looked at. */
  after_left: number;
  dependencies: OpenDependency[];
}

/** Whether the job waits for a machine, and for nothing before. */
export const waitsForMachine = ({ held, due_at, after_left }: PendingJob): boolean =>
  !held && due_at === null && after_left === 0;

/** Groups that do not follow from user and class. */
const toMoreGroups = ({ user, class: name, shape }: PendingJob): string[] =>
  (shape.groups ?? []).filter((group) => group !== `user/${user}` && group !== `user/${user}/class/${name}`);

/** The job as it would wait if it had been submitted like this; undefined where no class holds it. */
export const toCandidate = (job: PendingJob, spec: PlacementSpec, classes: ResourceClass[]): Candidate | undefined => {
  const found = findClass(classes, toAsk(spec));
  if (!found) return undefined;
  const { user, job_id } = job;
  const more = toMoreGroups(job);
  const bucket = job.bucket === ALL_USERS ? user : job.bucket;
  const isShared = found.priority_across_users || bucket !== user;
  const groups = isShared ? [`user/${user}`, `user/${user}/class/${found.name}`, ...more] : more;
  const shape = toJobShape(spec as JobSpec, groups.length > 0 ? groups : undefined);
  return { job_id, class: found.name, bucket: found.priority_across_users ? ALL_USERS : bucket, shape };
};

/** Without the job, wherever it waits. */
export const withoutPending = (buckets: Snapshot['buckets'], job: Candidate) => {
  const { job_id, class: name, bucket, shape } = job;
  const own = buckets[name] ?? [];
  const queues = own.find(({ user }) => user === bucket)?.queues ?? [];
  const isNamed = queues.some(({ jobs }) => jobs.some((one) => one.job_id === job_id));
  if (isNamed) return { ...buckets, [name]: removeJob(own, job) };
  const text = toShapeText(shape);
  const toLess = (queue: ShapeQueue): ShapeQueue =>
    queue.text === text ? { ...queue, count: Math.max(queue.jobs.length, countJobs(queue) - 1) } : queue;
  return {
    ...buckets,
    [name]: own.map((one) => (one.user === bucket ? { ...one, queues: one.queues.map(toLess) } : one)),
  };
};

/** With the job in its queue. */
export const withPending = (
  buckets: Snapshot['buckets'],
  job: Candidate & Pick<PendingJob, 'priority' | 'created_at' | 'rank'>,
): Snapshot['buckets'] => {
  const rank = job.bucket === ALL_USERS ? NO_USE : job.rank;
  const own = buckets[job.class] ?? [];
  const text = toShapeText(job.shape);
  const queued = { job_id: job.job_id, score: toQueueScore(job.priority, job.created_at) };
  const bucket: Bucket = own.find(({ user }) => user === job.bucket) ?? { user: job.bucket, rank, queues: [] };
  const queue = bucket.queues.find((one) => one.text === text) ?? { text, shape: job.shape, jobs: [] };
  const jobs = [...queue.jobs, queued].sort((a, b) => a.score - b.score || (a.job_id < b.job_id ? -1 : 1));
  const queues = [...bucket.queues.filter((one) => one !== queue), { ...queue, jobs, count: countJobs(queue) + 1 }];
  return { ...buckets, [job.class]: [...own.filter((one) => one !== bucket), { ...bucket, queues }] };
};
