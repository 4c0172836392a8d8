import { toDominantShare } from './fair-share.js';
import {
  addToTallies,
  countJobs,
  countWaiting,
  fill,
  listAskers,
  type Scene,
  type Started,
  toFilling,
  toScene,
  toUserOf,
  withHolds,
} from './fill.js';
import { ALL_USERS, type Candidate, judgePlacement, type MachineView } from './judge.js';
import { type PendingJob, waitsForMachine, withPending } from './pending-job.js';
import { countCandidates, toQueueScore } from './pick.js';
import { type Shape, toShapeText } from './placement.js';
import { minus } from './resources.js';

/** A job that runs. Times are Unix ms. */
export interface RunningJob extends Candidate {
  engine: string;
  gpu_uuids: string[];
  began_at: number;
}

/** What runs: how many jobs, and which, where that is known. */
export interface Running {
  count: number;
  jobs: readonly RunningJob[] | null;
}

/** The last run times in ms, by `user|class`. */
export type RunTimes = Readonly<Record<string, readonly number[]>>;

const byNumber = (a: number, b: number): number => a - b;
const pickQuantile = (sorted: readonly number[], part: number): number | undefined =>
  sorted[Math.max(0, Math.ceil(part * sorted.length) - 1)];

/** The smallest of the values that so much of them are not above. */
export const findQuantile = (values: readonly number[], part: number): number | undefined =>
  pickQuantile([...values].sort(byNumber), part);

/** How long the job runs in all, as far as those of its user and class say that ran longer. */
const findWhole = (job: Candidate, times: RunTimes, part: number, ran_ms: number): number | undefined =>
  findQuantile(
    (times[`${toUserOf(job)}|${job.class}`] ?? []).filter((ms) => ms > ran_ms),
    part,
  );

const toRest = (
  { shape }: Pick<Candidate, 'shape'>,
  whole: number | undefined,
  part: number,
  ran_ms: number,
): number => {
  const most = Math.max(0, shape.timeout_seconds * 1000 - ran_ms);
  if (whole !== undefined) return Math.min(most, whole - ran_ms);
  return part < 0.5 ? Math.min(most, UNKNOWN_MS) : most;
};

/** How much longer a job runs that has run for so long: as those of its user and class that ran longer, and no longer than it may. */
export const toRemaining = (job: Candidate, times: RunTimes, part: number, ran_ms: number): number =>
  toRest(job, findWhole(job, times, part, ran_ms), part, ran_ms);

/** Where nothing is known, a job may be over so soon, or last as long as it may. */
const UNKNOWN_MS = 1_000;

interface End {
  at: number;
  job: RunningJob;
}

const freeMachine = (machine: MachineView, { shape, gpu_uuids }: RunningJob): MachineView => {
  const holds = [...machine.gpu_holds];
  for (const uuid of gpu_uuids) {
    const i = holds.findIndex((one) => one.uuid === uuid && one.memory_mb === (shape.gpus?.memory_mb ?? null));
    if (i >= 0) holds.splice(i, 1);
  }
  return withHolds(machine, minus(machine.reserved, shape.ask), holds);
};

const endJob = (scene: Scene, { at, job }: End): Scene => ({
  ...scene,
  at,
  machines: scene.machines.map((one) => (one.engine === job.engine ? freeMachine(one, job) : one)),
  tallies: addToTallies(scene.tallies, job, -1),
});

export interface Course {
  /** Everything that starts, and when, in order. */
  starts: { at: number; job: Started }[];
  /** `ended`: nothing runs any more, and what waits cannot. */
  stopped: 'until' | 'steps' | 'ended';
}

export interface CourseLimits {
  steps: number;
  /** The job whose start is waited for. */
  until?: string | undefined;
  /** Comes only then. */
  arrival?: PendingJob | undefined;
}

const byTime = (a: End, b: End): number => a.at - b.at;

/** What starts when, if every job lasts as long as this part of those before it at the most. */
export const runOn = (
  from: Scene,
  running: readonly RunningJob[],
  times: RunTimes,
  part: number,
  { steps, until, arrival }: CourseLimits,
): Course => {
  let scene = from;
  let late = arrival;
  const ends: End[] = running.map((job) => ({
    at: from.at + toRemaining(job, times, part, Math.max(0, from.at - job.began_at)),
    job,
  }));
  const starts: Course['starts'] = [];
  const arrive = (at: number): void => {
    if (late) scene = { ...scene, at, buckets: withPending(scene.buckets, late) };
    late = undefined;
  };
  for (let step = 0; step < steps; step += 1) {
    const { now, started } = fill(toFilling(scene), listAskers(scene), { most: steps, until });
    scene = toScene(now);
    for (const job of started) {
      starts.push({ at: scene.at, job });
      ends.push({ at: scene.at + toRemaining(job, times, part, 0), job: { ...job, began_at: scene.at } });
    }
    if (until !== undefined && started.at(-1)?.job_id === until) return { starts, stopped: 'until' };
    const next = ends.sort(byTime)[0];
    if (late?.due_at && (!next || late.due_at <= next.at)) arrive(late.due_at);
    else if (!next) return { starts, stopped: 'ended' };
    else {
      ends.shift();
      scene = endJob(scene, next);
    }
  }
  return { starts, stopped: 'steps' };
};

/** When a pending job will start. Times are Unix ms. */
export interface StartWindow {
  p10: number;
  p90: number;
  evidence: {
    /** `simulated`: from now on, job by job; `estimated`: the work before it over what there is, as there is too much to go through. */
    method: 'simulated' | 'estimated';
    /** Run times of its user and class that were there to learn from. */
    samples: number;
    jobs_ahead: number;
    running: number;
    assumptions: string[];
  };
}

/** What `read` says of each, asked once: thousands of queues are of a few shapes and users. */
const once = <K, V>(read: (key: K) => V): ((key: K) => V) => {
  const known = new Map<K, V>();
  return (key) => {
    const found = known.get(key);
    if (found !== undefined) return found;
    const value = read(key);
    known.set(key, value);
    return value;
  };
};

const PARTS = [0.1, 0.9] as const;

interface Ahead {
  jobs: number;
  /** Share-milliseconds, if every job lasts as long as each of these parts of those before it at the most. */
  work: [number, number];
}

/** What is served before it, as far as the order is known: of each other user as many jobs as of its own, and one. */
const sumAhead = (scene: Scene, job: PendingJob, ahead_in_queue: number, times: RunTimes): Ahead => {
  const score = toQueueScore(job.priority, job.created_at);
  const text = toShapeText(job.shape);
  const toShare = once((shape: Shape) => toDominantShare(shape.ask, scene.sharing.cluster));
  const toWholes = once((user: string) => {
    const sorted = [...(times[`${user}|${job.class}`] ?? [])].sort(byNumber);
    return PARTS.map((part) => pickQuantile(sorted, part));
  });
  const ahead: Ahead = { jobs: 0, work: [0, 0] };
  const add = (user: string, shape: Shape, count: number): void => {
    const wholes = toWholes(user === ALL_USERS ? toUserOf({ bucket: user, shape }) : user);
    ahead.jobs += count;
    for (const i of [0, 1] as const)
      ahead.work[i] += count * toShare(shape) * toRest({ shape }, wholes[i], PARTS[i], 0);
  };
  const buckets = scene.buckets[job.class] ?? [];
  for (const queue of buckets.find(({ user }) => user === job.bucket)?.queues ?? []) {
    const named = queue.jobs.filter((one) => one.score < score).length;
    const all = named === queue.jobs.length ? countJobs(queue) : named;
    add(job.bucket, queue.shape, queue.text === text ? ahead_in_queue : all);
  }
  const turns = ahead.jobs + 1;
  for (const bucket of buckets) {
    if (bucket.user === job.bucket) continue;
    const all = countWaiting(bucket);
    const part = Math.min(turns, all) / all;
    for (const queue of bucket.queues) add(bucket.user, queue.shape, countJobs(queue) * part);
  }
  return ahead;
};

/** Whether it is only what runs there now that keeps it from some node. */
const fitsSomewhere = (scene: Scene, job: PendingJob): boolean =>
  scene.machines.some((machine) =>
    judgePlacement(job, machine, scene.at).every(({ kind }) => kind === 'no_room' || kind === 'reserved'),
  );

const ASSUMED = [
  'nobody submits anything that comes before it',
  'the machines stay as they are',
  'jobs last as long as the last ones of their user and class; one of which nothing is known, from a second to its timeout',
];

/** So much is looked at: candidates on machines. */
const EFFORT = 20_000;
/** With fewer steps, or more before it, a course would not come to an end: then it is not begun. */
const LEAST_STEPS = 8;
const STEP_EFFORT = 200;
/** With more choices of a shape and a machine, no course is gone through. */
export const MOST_CHOICES = EFFORT / LEAST_STEPS - STEP_EFFORT;
const MOST_AHEAD = 100;

export const toSteps = (scene: Scene): number => {
  const candidates = Object.keys(scene.buckets).reduce((sum, name) => sum + countCandidates(scene, name), 0);
  return Math.min(200, Math.max(3, Math.floor(EFFORT / (candidates * scene.machines.length + STEP_EFFORT))));
};

/**
 * When the job starts if nothing but time is needed: null where that is never, as where it is held or fits nowhere. `ahead_in_queue`: jobs of its own
 * shape before it.
 */
export const forecastStart = (
  scene: Scene,
  job: PendingJob,
  { running, times, ahead_in_queue }: { running: Running; times: RunTimes; ahead_in_queue: number },
): StartWindow | null => {
  if (job.held || job.after_left > 0) return null;
  const arrival = waitsForMachine(job) ? undefined : { ...job, due_at: Math.max(scene.at, job.due_at ?? 0) };
  const ahead = sumAhead(scene, job, ahead_in_queue, times);
  const jobs_ahead = Math.round(ahead.jobs);
  const steps = toSteps(scene);
  const known = steps >= LEAST_STEPS && jobs_ahead <= MOST_AHEAD ? running.jobs : null;
  const courses = PARTS.map((part): Course => {
    if (!known) return { starts: [], stopped: fitsSomewhere(scene, job) ? 'steps' : 'ended' };
    return runOn(scene, known, times, part, { steps, until: job.job_id, arrival });
  });
  if (courses.some(({ stopped }) => stopped === 'ended')) return null;
  const isWhole = courses.every(({ stopped }) => stopped === 'until');
  const found = courses.map(({ starts }, i) =>
    isWhole ? (starts.at(-1)?.at ?? scene.at) : (job.due_at ?? scene.at) + (ahead.work[i] ?? 0),
  );
  return {
    p10: Math.round(Math.min(...found)),
    p90: Math.round(Math.max(...found)),
    evidence: {
      method: isWhole ? 'simulated' : 'estimated',
      samples: times[`${job.user}|${job.class}`]?.length ?? 0,
      jobs_ahead,
      running: running.count,
      assumptions: ASSUMED,
    },
  };
};

/** Whom one more job delays: jobs that start later with it, or not while the other course goes on. Nameless ones are counted only. */
export const findDelayed = (without: Course, with_it: Course, job_id: string): string[] => {
  const now = new Map(with_it.starts.map(({ at, job }) => [job.job_id, at]));
  return without.starts.flatMap(({ at, job }) =>
    job.job_id !== job_id && (now.get(job.job_id) ?? Number.POSITIVE_INFINITY) > at ? [job.job_id] : [],
  );
};
