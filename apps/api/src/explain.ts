import {
  AppError,
  type Course,
  type Explanation,
  explainPending,
  findDelayed,
  forecastStart,
  isNameless,
  isTerminal,
  LOCAL_USER,
  MOST_CHOICES,
  type OpenDependency,
  type PendingJob,
  type ResourceClass,
  runOn,
  type StartWindow,
  toRank,
  toShape,
  toSteps,
  withPending,
} from '@berth/domain';
import {
  type JobRecord,
  type NewJob,
  type PlacedJob,
  type Sight,
  type Store,
  toNewShape,
  toNoDependency,
} from '@berth/store';

/** A pending job, seen at one time. */
export interface Explained {
  sight: Sight;
  placed: PlacedJob;
  explanation: Explanation;
  window: StartWindow | null;
}

export interface Simulated extends Explained {
  /** Jobs whose start would come later, the named ones; and how many of them there are. */
  delayed: { job_ids: string[]; count: number };
}

interface ExplainerOptions {
  store: Pick<Store, 'sights' | 'shares' | 'jobs' | 'arrays'>;
  classes: ResourceClass[];
}

const SIMULATED_DEPTH = 8;
const SIMULATED_ID = 'simulated';

const toExplained = (sight: Sight, placed: PlacedJob, classes: ResourceClass[]): Explained => {
  const { scene, running, times } = sight;
  const { job, ahead_in_queue } = placed;
  const window = forecastStart(scene, job, { running, times, ahead_in_queue: ahead_in_queue ?? 0 });
  return { sight, placed, explanation: explainPending(scene, job, classes), window };
};

/** The last among its user's jobs of its priority, as one submitted now would be. */
const toPlaced = ({ scene }: Sight, job: PendingJob): PlacedJob => {
  const bucket = scene.buckets[job.class]?.find(({ user }) => user === job.bucket);
  const after = withPending({ [job.class]: bucket ? [bucket] : [] }, job)[job.class]?.[0];
  const own = after?.queues.find(({ jobs }) => jobs.some(({ job_id }) => job_id === job.job_id));
  const countBefore = (queues = bucket?.queues ?? []): number =>
    queues.reduce((sum, { count, jobs }) => sum + (count ?? jobs.length), 0);
  return {
    job,
    ahead_in_queue: job.held || job.after_left > 0 ? null : Math.max(0, (own?.count ?? 1) - 1),
    ahead_of_user: countBefore(),
  };
};

export const createExplainer = ({ store, classes }: ExplainerOptions) => {
  const names = classes.map(({ name }) => name);

  /** Those that are open, and those that can no longer be met. Throws AppError `dependency_not_found` as a submit does. */
  const readDependencies = async ({ spec, user }: NewJob): Promise<OpenDependency[]> => {
    const found = (spec.after ?? []).map(async (one, place) => {
      const other = (await store.jobs.read(one.job)) ?? (await store.arrays.read(one.job));
      if (!other || other.user !== (user ?? LOCAL_USER)) throw toNoDependency(place);
      return { ...one, state: other.state };
    });
    const isMet = ({ condition, state }: OpenDependency): boolean =>
      isTerminal(state) && (condition === 'finished' || condition === state);
    return (await Promise.all(found)).filter((one) => !isMet(one));
  };

  const toPending = async ({ scene }: Sight, job: NewJob): Promise<PendingJob> => {
    const [{ users }, dependencies] = await Promise.all([store.shares.read(), readDependencies(job)]);
    const user = job.user ?? LOCAL_USER;
    const own = users.find((one) => one.user === user);
    return {
      ...{ job_id: SIMULATED_ID, user, class: job.class, bucket: job.across_users ? '*' : user, spec: job.spec },
      ...{ shape: toShape(toNewShape(job)), priority: job.spec.priority, created_at: scene.at },
      rank: own ? toRank(own.level, own.weight) : Number.NEGATIVE_INFINITY,
      ...{ held: job.hold ?? false, due_at: null, after_left: dependencies.length, dependencies },
    };
  };

  return {
    /** Null: it is not pending (any more). Throws AppError `not_found` where it is gone. */
    async explain(record: JobRecord): Promise<Explained | null> {
      if (record.state !== 'pending') return null;
      const sight = await store.sights.read({ classes: names, job: record, most_choices: MOST_CHOICES });
      if (!sight.placed) throw new AppError('not_found', 'There is no such job.');
      return sight.placed.state === 'pending' ? toExplained(sight, sight.placed, classes) : null;
    },

    /** What would become of a job if it were submitted now. Changes nothing. */
    async simulate(job: NewJob): Promise<Simulated> {
      const sight = await store.sights.read({ classes: names, user: job.user, depth: SIMULATED_DEPTH });
      const { scene, running, times } = sight;
      const pending = await toPending(sight, job);
      const placed = toPlaced(sight, pending);
      const waits = placed.ahead_in_queue !== null;
      const then = waits ? { ...scene, buckets: withPending(scene.buckets, pending) } : scene;
      const limits = { steps: toSteps(scene) };
      const [without, with_it] = [scene, then].map((one) => runOn(one, running.jobs ?? [], times, 0.5, limits)) as [
        Course,
        Course,
      ];
      const delayed = findDelayed(without, with_it, SIMULATED_ID);
      return {
        ...toExplained({ ...sight, scene: then }, placed, classes),
        delayed: { job_ids: delayed.filter((id) => !isNameless(id)), count: delayed.length },
      };
    },
  };
};

export type Explainer = ReturnType<typeof createExplainer>;
