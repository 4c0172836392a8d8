import { addUse, toCharge, toDominantShare } from './fair-share.js';
import {
  ALL_USERS,
  type Candidate,
  createQuotaTest,
  hasRoom,
  judgePlacement,
  type MachineView,
  toGroupsOf,
} from './judge.js';
import { type Bucket, listCandidates, type Picked, pick, type ShapeQueue, type Snapshot } from './pick.js';
import type { GpuHold, Shape } from './placement.js';
import { NO_TALLY, type Tally } from './quota.js';
import { minus, plus, type Resources } from './resources.js';

/** What a claim charges its user by, and so who comes next. */
export interface Sharing {
  cluster: Resources;
  half_life_ms: number;
  /** By user, where it is not 1. */
  weights: Readonly<Record<string, number>>;
  /** Learned, in ms, by `user|class`. */
  durations: Readonly<Record<string, number>>;
}

/** A snapshot from which one can go on: what each start changes is known. */
export interface Scene extends Snapshot {
  sharing: Sharing;
}

/** A machine that asks for a job of a class. */
export interface Asker {
  class: string;
  engine: string;
}

export interface Started extends Picked {
  engine: string;
}

/** Whose use a job adds to. Where users share a queue it stands among the groups of the shape. */
export const toUserOf = ({ bucket, shape }: Pick<Candidate, 'bucket' | 'shape'>): string =>
  bucket === ALL_USERS
    ? (shape.groups?.find((group) => /^user\/[^/]+$/.test(group))?.slice('user/'.length) ?? ALL_USERS)
    : bucket;

export const countJobs = ({ jobs, count }: ShapeQueue): number => Math.max(count ?? 0, jobs.length);

/** All that a user, or all of them, have waiting in a class. */
export const countWaiting = ({ queues }: Bucket): number => queues.reduce((sum, queue) => sum + countJobs(queue), 0);

/** Whether a job is one that a snapshot knows by number only. */
export const isNameless = (job_id: string): boolean => job_id.endsWith('+');

/** What waits behind the first job. Whom the snapshot does not name gets a name of the first one's. */
const withoutJob = (queue: ShapeQueue, job_id: string): ShapeQueue => {
  const rest = queue.jobs.filter((job) => job.job_id !== job_id);
  const count = countJobs(queue) - 1;
  const [gone] = queue.jobs;
  const jobs = rest.length > 0 || count === 0 || !gone ? rest : [{ job_id: `${gone.job_id}+`, score: gone.score + 1 }];
  return { ...queue, jobs, count };
};

/** Without the job, which waits nowhere but in its own bucket. */
export const removeJob = (
  buckets: readonly Bucket[],
  { job_id, bucket: own }: Pick<Candidate, 'job_id' | 'bucket'>,
): Bucket[] =>
  buckets.flatMap((bucket) => {
    if (bucket.user !== own || !bucket.queues.some(({ jobs }) => jobs.some((job) => job.job_id === job_id)))
      return [bucket];
    const queues = bucket.queues
      .map((queue) => (queue.jobs.some((job) => job.job_id === job_id) ? withoutJob(queue, job_id) : queue))
      .filter((queue) => countJobs(queue) > 0);
    return queues.length > 0 ? [{ ...bucket, queues }] : [];
  });

const addTally = (tally: Tally, ask: Resources, sign: 1 | -1): Tally => ({
  running: tally.running + sign,
  centicpus: tally.centicpus + sign * ask.centicpus,
  memory_mb: tally.memory_mb + sign * ask.memory_mb,
  gpus: tally.gpus + sign * ask.gpus,
  pending: tally.pending,
});

export const addToTallies = (tallies: Snapshot['tallies'], job: Candidate, sign: 1 | -1): Snapshot['tallies'] => {
  const groups = toGroupsOf(job).map((group) => [group, addTally(tallies[group] ?? NO_TALLY, job.shape.ask, sign)]);
  return { ...tallies, ...Object.fromEntries(groups) };
};

/** The machine with other jobs on its GPUs and other reserved CPUs and memory. */
export const withHolds = (machine: MachineView, reserved: Resources, gpu_holds: GpuHold[]): MachineView => ({
  ...machine,
  reserved: { ...reserved, gpus: new Set(gpu_holds.map(({ uuid }) => uuid)).size },
  gpu_holds,
});

const placeJob = (machine: MachineView, job: Picked): MachineView => {
  const { ask, gpus } = job.shape;
  const holds = job.gpu_uuids.map((uuid) => ({ uuid, memory_mb: gpus?.memory_mb ?? null }));
  const { reservation } = machine;
  const kept = reservation?.job_id === job.job_id ? undefined : reservation;
  return {
    ...withHolds(machine, plus(machine.reserved, ask), [...machine.gpu_holds, ...holds]),
    reservation: kept && job.takes_left ? { ...kept, left: minus(kept.left, ask) } : kept,
  };
};

/** Ranks are levels over weights, so a charge over the weight moves a rank as the charge moves the level. */
const charge = (scene: Scene, job: Candidate): Scene['buckets'] => {
  const { cluster, half_life_ms, weights, durations } = scene.sharing;
  const user = toUserOf(job);
  const learned = durations[`${user}|${job.class}`];
  const amount = toCharge(toDominantShare(job.shape.ask, cluster), learned, job.shape.timeout_seconds);
  const weight = Object.hasOwn(weights, user) ? (weights[user] ?? 1) : 1;
  const rerank = (bucket: Bucket): Bucket =>
    bucket.user === user ? { ...bucket, rank: addUse(bucket.rank, amount / weight, scene.at, half_life_ms) } : bucket;
  return Object.fromEntries(Object.entries(scene.buckets).map(([name, buckets]) => [name, buckets.map(rerank)]));
};

/** What a claim changes. */
export const startJob = (scene: Scene, job: Picked, engine: string): Scene => {
  const buckets = charge(scene, job);
  return {
    ...scene,
    buckets: { ...buckets, [job.class]: removeJob(buckets[job.class] ?? [], job) },
    machines: scene.machines.map((machine) => (machine.engine === engine ? placeJob(machine, job) : machine)),
    tallies: addToTallies(scene.tallies, job, 1),
  };
};

/** Whether some machine has room for a shape. Thousands of queues have a few shapes: each is looked at once. */
const createRoomTest = (machines: readonly MachineView[]) => {
  const known = new Map<Shape, boolean>();
  return (shape: Shape): boolean => {
    const found = known.get(shape) ?? machines.some((machine) => hasRoom(shape, machine));
    known.set(shape, found);
    return found;
  };
};

/** The candidates that could run on some machine now. */
export const findRunnable = (scene: Snapshot): Candidate[] => {
  const hasRoomFor = createRoomTest(scene.machines);
  const isWithinQuotas = createQuotaTest(scene);
  const listOf = (name: string): Candidate[] =>
    listCandidates(
      scene,
      name,
      (shape, bucket) => hasRoomFor(shape) && isWithinQuotas({ job_id: '', class: name, bucket, shape }),
    );
  return Object.keys(scene.buckets)
    .flatMap(listOf)
    .filter(
      (job) =>
        hasRoomFor(job.shape) &&
        isWithinQuotas(job) &&
        scene.machines.some(
          (machine) => hasRoom(job.shape, machine) && judgePlacement(job, machine, scene.at).length === 0,
        ),
    );
};

/** Of the groups of these jobs only: a copy of those of every user would be most of what a start costs. */
const pickTallies = (jobs: readonly Candidate[], tallies: Snapshot['tallies']): Snapshot['tallies'] => {
  const groups = new Set(jobs.flatMap(toGroupsOf));
  return Object.fromEntries([...groups].map((group) => [group, tallies[group] ?? NO_TALLY]));
};

/** Without the queues of which nothing can run anywhere: nothing that starts makes room for them, but for the end of a reservation. */
export const narrow = (scene: Scene): Scene => {
  const jobs = findRunnable(scene);
  const runnable = new Set(jobs.map(({ job_id }) => job_id));
  const toRunnable = (bucket: Bucket): Bucket[] => {
    const queues = bucket.queues.filter(({ jobs: [first] }) => first && runnable.has(first.job_id));
    return queues.length > 0 ? [{ ...bucket, queues }] : [];
  };
  const buckets = Object.entries(scene.buckets).map(([name, all]) => [name, all.flatMap(toRunnable)]);
  return { ...scene, buckets: Object.fromEntries(buckets), tallies: pickTallies(jobs, scene.tallies) };
};

export interface FillLimits {
  most: number;
  /** Goes no further once this job has started. */
  until?: string | undefined;
}

/** Every class on every machine that serves it, in order. */
export const listAskers = (scene: Snapshot): Asker[] =>
  Object.keys(scene.buckets).flatMap((name) =>
    scene.machines
      .filter(({ classes }) => classes === undefined || classes.includes(name))
      .map(({ engine }) => ({ class: name, engine })),
  );

/** A scene, what has started since, and what of all that can still run. */
export interface Filling {
  scene: Scene;
  since: readonly Started[];
  left: Scene;
}

export const toFilling = (scene: Scene): Filling => ({ scene, since: [], left: narrow(scene) });

/** The scene as it is after all that has started. It is made where it is asked for: most of what is tried asks only what starts. */
export const toScene = ({ scene, since }: Filling): Scene =>
  since.reduce((before, job) => startJob(before, job, job.engine), scene);

/** What one machine gets of one class, and what then is; undefined where it gets nothing. */
export const takeOne = (
  filling: Filling,
  { class: name, engine }: Asker,
): (Filling & { started: Started }) | undefined => {
  const { scene, since, left } = filling;
  const machine = left.machines.find((one) => one.engine === engine);
  const hasAny = (buckets: readonly Bucket[], one: MachineView): boolean =>
    buckets.some(({ queues }) => queues.some(({ shape }) => hasRoom(shape, one)));
  const job = machine && hasAny(left.buckets[name] ?? [], machine) ? pick(left, name, machine) : undefined;
  if (!machine || !job) return undefined;
  const started = { ...job, engine };
  if (machine.reservation?.job_id === job.job_id) {
    return { ...toFilling(startJob(toScene(filling), job, engine)), started };
  }
  return { scene, since: [...since, started], left: startJob(left, job, engine), started };
};

export interface Filled {
  now: Filling;
  started: Started[];
}

/** Lets machines take jobs, each all that it can, in the order given, until nothing more can run or the limits are met. */
export const fill = (from: Filling, askers: readonly Asker[], { most, until }: FillLimits): Filled => {
  let now = from;
  const started: Started[] = [];
  const isOver = () => started.length >= most || (until !== undefined && started.at(-1)?.job_id === until);
  const take = (asker: Asker): boolean => {
    const next = isOver() ? undefined : takeOne(now, asker);
    if (!next) return false;
    now = next;
    started.push(next.started);
    return true;
  };
  for (let before = -1; before < started.length; ) {
    before = started.length;
    for (const asker of askers) while (take(asker));
  }
  return { now, started };
};
