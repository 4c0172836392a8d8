import { type Budget, startsInAnyOrder } from './any-order.js';
import {
  applyChanges,
  type Change,
  changeJob,
  isOfSpec,
  setQuotas,
  toLimitUnit,
  toMergePatch,
  toRelativeSize,
} from './change.js';
import { draftChanges } from './change-drafts.js';
import {
  type Asker,
  countJobs,
  type Filled,
  type Filling,
  fill,
  listAskers,
  narrow,
  type Scene,
  toFilling,
} from './fill.js';
import { toGroupsOf } from './judge.js';
import { type PendingJob, waitsForMachine } from './pending-job.js';
import { judgeJob } from './pick.js';
import { type Shape, toShapeText } from './placement.js';
import { NO_TALLY, type Quota, type Tally } from './quota.js';
import type { ResourceClass } from './resource-class.js';
import type { Resources } from './resources.js';

/** What would let a job start at once. */
export interface Proposal {
  changes: Change[];
  /** The part of the spec's changes, for a merge patch (RFC 7396). Null: nothing of the spec changes. */
  merge_patch: Record<string, unknown> | null;
  /** On one of these nodes. */
  nodes: string[];
  /** The job starts whichever machine asks first. False: there were too many orders to try all; it starts in those that were tried. */
  in_any_order: boolean;
}

/** A change that lets so many others go first is not small. */
const MOST_STARTS = 64;
const MOST_TRIES = 48;
const MOST_PICKS = 3_000;
const NO_LIMIT = 1_000_000_000;

const toSize = (changes: readonly Change[]): number => changes.reduce((sum, one) => sum + toRelativeSize(one), 0);
const isSmaller = (a: readonly Change[], b: readonly Change[]): boolean =>
  a.length < b.length || (a.length === b.length && toSize(a) < toSize(b));

/** Others first, and its own class first, forwards and backwards. */
const toOrders = (scene: Scene, job: PendingJob): Asker[][] => {
  const askers = listAskers(scene);
  const own = askers.filter((asker) => asker.class === job.class);
  const others = askers.filter((asker) => asker.class !== job.class);
  return [askers, [...others, ...own], [...own].reverse().concat(others)];
};

const fillUntil = (from: Filling, order: Asker[], { job_id }: PendingJob): Filled =>
  fill(from, order, { most: MOST_STARTS, until: job_id });

const hasStarted = ({ started }: Filled, { job_id }: PendingJob): boolean => started.at(-1)?.job_id === job_id;

/** Whether it starts: in any order, or (where there are too many) in some that were tried; undefined where it does not in one. */
const findStart = (from: Filling, job: PendingJob, budget: Budget): Pick<Proposal, 'in_any_order'> | undefined => {
  const isIn = (order: Asker[]) => hasStarted(fillUntil(from, order, job), job);
  if (!toOrders(from.scene, job).every(isIn)) return undefined;
  const in_any_order = startsInAnyOrder(from, job.job_id, budget);
  return in_any_order === false ? undefined : { in_any_order: in_any_order === true };
};

type Raise = Extract<Change, { kind: 'raise_quota' }>;

const COUNTS: Record<keyof Quota, keyof Tally> = {
  max_running: 'running',
  max_cpus: 'centicpus',
  max_memory_mb: 'memory_mb',
  max_gpus: 'gpus',
  max_pending: 'pending',
};

const withLimits = (changes: Change[], toLimit: (one: Raise) => number): Change[] =>
  changes.map((one): Change => (one.kind === 'raise_quota' ? { ...one, to: toLimit(one) } : one));

const toAmount = ({ limit }: Pick<Raise, 'limit'>, { ask }: Shape): number => {
  const measure = COUNTS[limit];
  return measure === 'running' ? 1 : ask[measure as keyof Resources];
};

/** What a group would hold with all that wait. */
const sumGroup = (scene: Scene, { group, limit }: Raise): number => {
  const held = (scene.tallies[group] ?? NO_TALLY)[COUNTS[limit]];
  const waiting = Object.entries(scene.buckets).flatMap(([name, buckets]) =>
    buckets.flatMap(({ user, queues }) =>
      queues
        .filter(({ shape }) => toGroupsOf({ job_id: '', class: name, bucket: user, shape }).includes(group))
        .map((queue) => countJobs(queue) * toAmount({ limit }, queue.shape)),
    ),
  );
  return waiting.reduce((sum, amount) => sum + amount, held);
};

const MOST_STEPS = 8;

/** With these quotas instead of none. What cannot run without any is known not to run within them, and is not looked at again. */
const toRaised = ({ scene, since, left }: Filling, changes: Change[]): Filling => {
  const quotas = setQuotas(scene.quotas, changes);
  return { scene: { ...scene, quotas }, since, left: narrow({ ...left, quotas }) };
};

/**
 * Where others of the group go before it: quotas that have room for one of them as well, for two, …; and for all that wait. Those who go first are
 * found where there is no limit at all.
 */
const raiseForOthers = (open: Filling, job: PendingJob, changes: Change[]): Change[][] => {
  const alone = fillUntil(open, listAskers(open.scene), job);
  const starts = hasStarted(alone, job);
  // A count that is full keeps out this job as well: until then the same ones start as without any limit.
  if (!starts && changes.every((one) => one.kind !== 'raise_quota' || one.limit === 'max_running')) return [];
  const others = alone.started.filter(({ job_id }) => job_id !== job.job_id);
  const toStep = (count: number) => (one: Raise) => {
    const first = others.filter((other) => toGroupsOf(other).includes(one.group)).slice(0, count);
    return (
      one.to +
      toLimitUnit(
        one.limit,
        first.reduce((sum, { shape }) => sum + toAmount(one, shape), 0),
      )
    );
  };
  const steps = Array.from({ length: Math.min(MOST_STEPS, others.length) }, (_, i) => toStep(i + 1));
  const toAll = (one: Raise) => toLimitUnit(one.limit, sumGroup(open.scene, one));
  const known = new Map(
    [...steps, ...(starts ? [toAll] : [])]
      .map((read) => withLimits(changes, read))
      .map((one) => [JSON.stringify(one), one]),
  );
  return [...known.values()];
};

/** Where only the order is against it: ahead of the first of its own shape, or of all that its user has. */
const draftPriorities = (scene: Scene, job: PendingJob): Change[][] => {
  const bucket = scene.buckets[job.class]?.find(({ user }) => user === job.bucket);
  const text = toShapeText(job.shape);
  const firsts = (bucket?.queues ?? [])
    .flatMap(({ jobs: [first], text: own }) => (first ? [{ score: first.score, is_own: own === text }] : []))
    .sort((a, b) => Number(b.is_own) - Number(a.is_own) || a.score - b.score);
  const wanted = firsts.slice(0, 2).map(({ score }) => Math.min(100, 101 - Math.floor(score / 2 ** 44)));
  return wanted.filter((to) => to > job.priority).map((to) => [{ kind: 'raise_priority', from: job.priority, to }]);
};

/** Whether nothing but the order keeps it from running somewhere. */
export const isInOrderOnly = (scene: Scene, job: PendingJob): boolean =>
  waitsForMachine(job) && scene.machines.some((machine) => judgeJob(job, machine, scene).length === 0);

interface SearchOptions {
  classes: ResourceClass[];
  /** Nothing that waits can run now. */
  is_settled: boolean;
}

interface Search extends SearchOptions {
  scene: Scene;
  job: PendingJob;
  budget: Budget;
}

const merge = (first: readonly Change[], second: readonly Change[]): Change[] => {
  const isSame = (a: Change, b: Change) => a.kind === 'lower' && b.kind === 'lower' && a.field === b.field;
  const before = first.filter((one) => !second.some((other) => isSame(one, other)));
  const after = second.map((one) => {
    const old = first.find((other) => isSame(one, other));
    return one.kind === 'lower' && old?.kind === 'lower' ? { ...one, from: old.from } : one;
  });
  return [...before, ...after];
};

/** A smaller job may be of another class, where other things are against it: what is to be done about those as well. */
const goOn = ({ scene, job, classes }: Search, changes: Change[]): Change[][] => {
  const changed = changeJob(job, changes, { classes, at: scene.at });
  if (!changed || changed.class === job.class) return [changes];
  const after = applyChanges(scene, job, changed, changes);
  if (after.machines.some((machine) => judgeJob(changed, machine, after).length === 0)) return [changes];
  return draftChanges({ scene: after, job: changed, classes }).map((more) => merge(changes, more));
};

const listDrafts = (search: Search): Change[][] => {
  const { scene, job } = search;
  const drafts = isInOrderOnly(scene, job)
    ? draftPriorities(scene, job)
    : draftChanges(search).flatMap((changes) => goOn(search, changes));
  const known = new Map(drafts.map((changes) => [JSON.stringify(changes), changes]));
  return [...known.values()].sort((a, b) => a.length - b.length || toSize(a) - toSize(b));
};

const isFirstOfItsShape = (scene: Scene, job: PendingJob): boolean => {
  const text = toShapeText(job.shape);
  const bucket = scene.buckets[job.class]?.find(({ user }) => user === job.bucket);
  return bucket?.queues.find((queue) => queue.text === text)?.jobs[0]?.job_id === job.job_id;
};

/** The changes, with quotas raised as far as it takes; undefined where the job would not start. */
const tryChanges = ({ scene, job, classes, is_settled, budget }: Search, changes: Change[]): Proposal | undefined => {
  const changed = changeJob(job, changes, { classes, at: scene.at });
  if (!changed || !waitsForMachine(changed)) return undefined;
  const after = applyChanges(scene, job, changed, changes);
  const nodes = after.machines.filter((machine) => judgeJob(changed, machine, after).length === 0);
  if (nodes.length === 0) return undefined;
  const proposal = {
    changes,
    merge_patch: toMergePatch(job.spec, changes),
    nodes: nodes.map(({ node }) => node),
    in_any_order: true,
  };
  // Where nothing else can run, a change that concerns nobody else lets nobody else run.
  const isOwn = changes.every((one) => isOfSpec(one) || one.kind === 'release_hold');
  const isPlain = is_settled && isOwn && scene.machines.every(({ reservation }) => reservation === undefined);
  if (isPlain) return isFirstOfItsShape(after, changed) ? proposal : undefined;
  const found = findStart(toFilling(after), changed, budget);
  if (found) return { ...proposal, ...found };
  if (!changes.some(({ kind }) => kind === 'raise_quota') || changes.some(isOfSpec)) return undefined;
  const unlimited = withLimits(changes, () => NO_LIMIT);
  const open = toFilling(applyChanges(scene, job, changed, unlimited));
  for (const raised of raiseForOthers(open, changed, changes)) {
    const start = findStart(toRaised(open, raised), changed, budget);
    if (start) return { ...proposal, ...start, changes: raised };
  }
  return undefined;
};

/**
 * The smallest change after which the job starts, whoever asks first: the fewest things changed, and of these the one that takes the least of
 * what was there. Undefined where none of those that are looked at would do.
 */
export const findSmallestChange = (scene: Scene, job: PendingJob, options: SearchOptions): Proposal | undefined => {
  if (job.due_at !== null || job.after_left > 0) return undefined;
  const search: Search = { ...options, scene, job, budget: { picks: MOST_PICKS } };
  let best: Proposal | undefined;
  for (const changes of listDrafts(search).slice(0, MOST_TRIES)) {
    if (best && !isSmaller(changes, best.changes)) break;
    const found = tryChanges(search, changes);
    if (found && (!best || isSmaller(found.changes, best.changes))) best = found;
  }
  return best;
};
