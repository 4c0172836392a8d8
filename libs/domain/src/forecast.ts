import { toDominantShare } from './fair-share.js';
import {
  addToTallies,
  countJobs,
  fill,
  listAskers,
  type Scene,
  type Started,
  toFilling,
  toUserOf,
  withHolds,
} from './fill.js';
import { type Candidate, judgePlacement, type MachineView } from './judge.js';
import { type PendingJob, waitsForMachine, withPending } from './pending-job.js';
import { countCandidates, toQueueScore } from './pick.js';
import { toShapeText } from './placement.js';
import { minus } from './resources.js';

/** A job that runs. Times are Unix ms. */
export interface RunningJob extends Candidate {
  engine: string;
  gpu_uuids: string[];
  began_at: number;
}

/** The last run times in ms, by `user|class`. */
export type RunTimes = Readonly<Record<string, readonly number[]>>;

/** The smallest of the values that so much of them are not above. */
export const findQuantile = (values: readonly number[], part: number): number | undefined => {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(part * sorted.length) - 1)];
};

/** How long the job runs in all, as far as those of its user and class say that ran longer. */
const findWhole = (job: Candidate, times: RunTimes, part: number, ran_ms: number): number | undefined =>
  findQuantile(
    (times[`${toUserOf(job)}|${job.class}`] ?? []).filter((ms) => ms > ran_ms),
    part,
  );

const toRest = ({ shape }: Candidate, whole: number | undefined, part: number, ran_ms: number): number => {
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
    const { scene: now, started } = fill(toFilling(scene), listAskers(scene), { most: steps, until });
    scene = now;
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

/** Jobs that are served before it, as far as the order is known: of each other user as many as of its own, and one. */
const listAhead = (scene: Scene, job: PendingJob, ahead_in_queue: number) => {
  const score = toQueueScore(job.priority, job.created_at);
  const text = toShapeText(job.shape);
  const buckets = scene.buckets[job.class] ?? [];
  const own = buckets.find(({ user }) => user === job.bucket)?.queues ?? [];
  const before = own.map((queue) => {
    const named = queue.jobs.filter((one) => one.score < score).length;
    return {
      queue,
      count: queue.text === text ? ahead_in_queue : named === queue.jobs.length ? countJobs(queue) : named,
    };
  });
  const turns = before.reduce((sum, { count }) => sum + count, 0) + 1;
  const others = buckets
    .filter(({ user }) => user !== job.bucket)
    .flatMap(({ user, queues }) => {
      const all = queues.reduce((sum, queue) => sum + countJobs(queue), 0);
      return queues.map((queue) => ({ queue, user, count: (countJobs(queue) * Math.min(turns, all)) / all }));
    });
  return [...before.map((one) => ({ ...one, user: job.bucket })), ...others];
};

const estimate = (
  scene: Scene,
  job: PendingJob,
  ahead: ReturnType<typeof listAhead>,
  times: RunTimes,
  part: number,
) => {
  // What jobs of the class last is the same for all shapes of a user.
  const known = new Map<string, number | undefined>();
  const findKnown = (one: Candidate): number | undefined => {
    const user = toUserOf(one);
    if (!known.has(user)) known.set(user, findWhole(one, times, part, 0));
    return known.get(user);
  };
  const work = ahead.map(({ queue: { shape }, user, count }) => {
    const one: Candidate = { job_id: '', class: job.class, bucket: user, shape };
    return count * toDominantShare(shape.ask, scene.sharing.cluster) * toRest(one, findKnown(one), part, 0);
  });
  return work.reduce((sum, ms) => sum + ms, 0);
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
const MOST_AHEAD = 100;

export const toSteps = (scene: Scene): number => {
  const candidates = Object.keys(scene.buckets).reduce((sum, name) => sum + countCandidates(scene, name), 0);
  return Math.min(200, Math.max(3, Math.floor(EFFORT / (candidates * scene.machines.length + 200))));
};

/**
 * When the job starts if nothing but time is needed: null where that is never, as where it is held or fits nowhere. `ahead_in_queue`: jobs of its own
 * shape before it.
 */
export const forecastStart = (
  scene: Scene,
  job: PendingJob,
  { running, times, ahead_in_queue }: { running: readonly RunningJob[]; times: RunTimes; ahead_in_queue: number },
): StartWindow | null => {
  if (job.held || job.after_left > 0) return null;
  const arrival = waitsForMachine(job) ? undefined : { ...job, due_at: Math.max(scene.at, job.due_at ?? 0) };
  const ahead = listAhead(scene, job, ahead_in_queue);
  const jobs_ahead = Math.round(ahead.reduce((sum, { count }) => sum + count, 0));
  const steps = toSteps(scene);
  const isSmall = steps >= LEAST_STEPS && jobs_ahead <= MOST_AHEAD;
  const courses = [0.1, 0.9].map((part): Course => {
    if (!isSmall) return { starts: [], stopped: fitsSomewhere(scene, job) ? 'steps' : 'ended' };
    return runOn(scene, running, times, part, { steps, until: job.job_id, arrival });
  });
  if (courses.some(({ stopped }) => stopped === 'ended')) return null;
  const isWhole = courses.every(({ stopped }) => stopped === 'until');
  const found = courses.map(({ starts }, i) =>
    isWhole
      ? (starts.at(-1)?.at ?? scene.at)
      : (job.due_at ?? scene.at) + estimate(scene, job, ahead, times, i === 0 ? 0.1 : 0.9),
  );
  return {
    p10: Math.round(Math.min(...found)),
    p90: Math.round(Math.max(...found)),
    evidence: {
      method: isWhole ? 'simulated' : 'estimated',
      samples: times[`${job.user}|${job.class}`]?.length ?? 0,
      jobs_ahead,
      running: running.length,
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
