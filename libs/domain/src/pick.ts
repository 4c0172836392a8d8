import type { ShareLevel } from './fair-share.js';
import {
  ALL_USERS,
  type Candidate,
  type Constraint,
  createQuotaTest,
  hasRoom,
  judgePassing,
  judgePlacement,
  judgeQuotas,
  type MachineView,
  type QuotaBook,
} from './judge.js';
import { pickGpus, type Shape } from './placement.js';

/** `score` orders the jobs of a bucket: more urgent ones, then older ones, are lower. See `toQueueScore`. */
export interface QueuedJob {
  job_id: string;
  score: number;
}

/** The jobs of one shape that wait, best first; a pick needs no more than the first of them. `text` is the shape's (see `toShapeText`). */
export interface ShapeQueue {
  text: string;
  shape: Shape;
  jobs: QueuedJob[];
  /** How many jobs there are, where `jobs` has only the first of them. */
  count?: number | undefined;
}

/** What one user has waiting in a class; or, as `ALL_USERS`, all of them. */
export interface Bucket {
  user: string;
  /** See `toRank`. `NO_USE` for `ALL_USERS`. */
  rank: ShareLevel;
  queues: ShapeQueue[];
}

/** All that decides what runs next, at one time (Unix ms, the broker's). Jobs that are held back or not due yet are not in it. */
export interface Snapshot extends QuotaBook {
  at: number;
  buckets: Readonly<Record<string, Bucket[]>>;
  machines: MachineView[];
}

/** A job that a machine gets. */
export interface Picked extends Candidate {
  gpu_uuids: string[];
  /** It takes of what the reservation of the machine leaves over. */
  takes_left: boolean;
}

const PRIORITY_STEP = 2 ** 44;

/** As `backlog_score` in `pending.lua`: exact in a double. */
export const toQueueScore = (priority: number, created_at: number): number =>
  (100 - priority) * PRIORITY_STEP + created_at;

/** Differences of ranks would be NaN where nobody has used anything. */
const inOrder = (a: number, b: number, aName: string, bName: string): number =>
  a < b ? -1 : a > b ? 1 : aName < bName ? -1 : aName > bName ? 1 : 0;

/** Users in the order in which they are served. */
export const sortBuckets = (buckets: readonly Bucket[]): Bucket[] =>
  [...buckets].sort((a, b) => inOrder(a.rank, b.rank, a.user, b.user));

const toHeadScore = ({ jobs: [first] }: ShapeQueue): number => first?.score ?? Number.POSITIVE_INFINITY;

/** A user's shapes in the order of the first job of each. */
export const sortQueues = (queues: readonly ShapeQueue[]): ShapeQueue[] =>
  queues.filter(({ jobs }) => jobs.length > 0).sort((a, b) => inOrder(toHeadScore(a), toHeadScore(b), a.text, b.text));

/** So many shapes of one user are looked at: jobs of thousands of shapes that run nowhere hold up none but their own user's. */
const MOST_SHAPES = 500;

const isCut = ({ user, queues }: Bucket): boolean => user !== ALL_USERS && queues.length > MOST_SHAPES;

/** Whether jobs of a shape may run that wait in the bucket of this name. */
type MayRun = (shape: Shape, bucket: string) => boolean;

/** Leaves out what cannot run anyway before anything is sorted, but for users of whom not all shapes are looked at. */
const withRoom = (buckets: readonly Bucket[], mayRun: MayRun): Bucket[] =>
  buckets.flatMap((bucket) => {
    if (isCut(bucket)) return [bucket];
    const queues = bucket.queues.filter(({ shape }) => mayRun(shape, bucket.user));
    return queues.length > 0 ? [{ ...bucket, queues }] : [];
  });

/**
 * The first job of each shape that waits in a class, in the order in which a pick tries them. Where it is said which may run, it may leave out
 * others.
 */
export const listCandidates = (
  { buckets }: Pick<Snapshot, 'buckets'>,
  className: string,
  mayRun?: MayRun,
): Candidate[] => {
  const all = buckets[className] ?? [];
  return sortBuckets(mayRun ? withRoom(all, mayRun) : all).flatMap(({ user, queues }) =>
    sortQueues(queues)
      .slice(0, user === ALL_USERS ? undefined : MOST_SHAPES)
      .map(({ shape, jobs }) => ({ job_id: jobs[0]?.job_id ?? '', class: className, bucket: user, shape })),
  );
};

/** How many there are of them. */
export const countCandidates = ({ buckets }: Pick<Snapshot, 'buckets'>, className: string): number =>
  (buckets[className] ?? []).reduce((sum, { user, queues }) => {
    const count = queues.filter(({ jobs }) => jobs.length > 0).length;
    return sum + (user === ALL_USERS ? count : Math.min(count, MOST_SHAPES));
  }, 0);

/** All that keeps a job from running on a machine now. None: it would run, if its turn came. */
export const judgeJob = (
  job: Candidate,
  machine: MachineView,
  snapshot: Omit<Snapshot, 'machines' | 'buckets'>,
): Constraint[] => [...judgePlacement(job, machine, snapshot.at), ...judgeQuotas(job, snapshot)];

/**
 * The job of a class that a machine gets now: users in the order of their fair share, of each the jobs by priority and age, and of these the
 * first that nothing keeps from running there. What does not fit holds nobody up. `claim.lua` makes the same choice.
 */
export const pick = (snapshot: Snapshot, className: string, machine: MachineView): Picked | undefined => {
  const isWithinQuotas = createQuotaTest(snapshot);
  for (const job of listCandidates(snapshot, className, (shape) => hasRoom(shape, machine))) {
    if (!isWithinQuotas(job) || judgePlacement(job, machine, snapshot.at).length > 0) continue;
    const { gpus } = job.shape;
    const gpu_uuids = gpus ? pickGpus(gpus, machine.gpus, machine.gpu_holds) : [];
    if (gpu_uuids === undefined) continue;
    const takes_left = judgePassing(job, machine.reservation, snapshot.at) === 'beside';
    return { ...job, gpu_uuids, takes_left };
  }
  return undefined;
};
