import {
  ALL_USERS,
  type Change,
  countWaiting,
  type JobConstraint,
  type NodeVerdict,
  type PlacementConstraint,
  type Scene,
  type StartWindow,
  sortBuckets,
  toLimitUnit,
  toQuotaToSet,
  toUse,
} from '@berth/domain';
import type { JobRecord } from '@berth/store';
import type { Explained } from './explain.js';
import type { ChangeAnswer, ConstraintAnswer, PlaceConstraintAnswer } from './schemas/explain.js';

const toTime = (ms: number): string => new Date(ms).toISOString();

/** Whether the asker may know of a job by its id. */
export type Sees = (job_id: string) => boolean;
const ANY_JOB = '';

const toPlaceAnswer = (one: PlacementConstraint, sees: Sees): PlaceConstraintAnswer => {
  if (one.kind === 'reserved') {
    return { kind: one.kind, for_job: sees(one.for_job) ? one.for_job : null, from: toTime(one.from) };
  }
  const { node: _, ...rest } = one;
  if (!('measure' in rest)) return rest;
  if (rest.measure !== 'centicpus') return { ...rest, measure: rest.measure };
  return { ...rest, measure: 'cpus', wanted: rest.wanted / 100, has: rest.has / 100 };
};

const ONLY_NOW = ['no_room', 'reserved', 'drained'];

/** Whether a node could run the job if nothing else did. */
export const fitsEmpty = ({ constraints }: NodeVerdict): boolean =>
  constraints.every(({ kind }) => ONLY_NOW.includes(kind));

const toConstraintAnswer = (one: JobConstraint): ConstraintAnswer => {
  if (one.kind === 'back_off') return { kind: one.kind, until: toTime(one.until) };
  if (one.kind !== 'quota') return one;
  const [most, holds, wanted] = [one.most, one.holds, one.wanted].map((n) => toLimitUnit(one.limit, n));
  return { kind: one.kind, group: one.group, limit: one.limit, most, holds, wanted };
};

const toChangeAnswer = (one: Change, scene: Scene): ChangeAnswer => {
  if (one.kind !== 'raise_quota') return one;
  const { target, quota } = toQuotaToSet(scene.quotas, one);
  return { ...one, quota: { ...target, ...quota } };
};

const toWindowAnswer = ({ p10, p90, evidence }: StartWindow) => ({ p10: toTime(p10), p90: toTime(p90), evidence });

const toPosition = ({ sight: { scene }, placed }: Explained) => {
  if (placed.ahead_in_queue === null) return null;
  const buckets = sortBuckets(scene.buckets[placed.job.class] ?? []);
  const place = buckets.findIndex(({ user }) => user === placed.job.bucket);
  return {
    jobs_ahead_of_same_shape: placed.ahead_in_queue,
    jobs_ahead_of_same_user: placed.ahead_of_user,
    users_ahead: Math.max(0, place),
    jobs_waiting_in_class: buckets.reduce((sum, bucket) => sum + countWaiting(bucket), 0),
  };
};

const MOST_USERS = 5;

/** How much its user has used against those before them; null where a class does not go by that. Names are for those who may see all jobs. */
const toFairShare = ({ sight: { scene }, placed: { job, ahead_in_queue } }: Explained, sees_users: boolean) => {
  if (ahead_in_queue === null || job.bucket === ALL_USERS) return null;
  const { half_life_ms, weights } = scene.sharing;
  const toShare = (user: string, rank: number) => {
    const weight = weights[user] ?? 1;
    return { weight, used_share_seconds: Math.round(toUse(rank, scene.at, half_life_ms) * weight) / 1_000 };
  };
  const buckets = sortBuckets(scene.buckets[job.class] ?? []);
  const before = buckets.slice(
    0,
    Math.max(
      0,
      buckets.findIndex(({ user }) => user === job.bucket),
    ),
  );
  const ahead = before
    .slice(0, MOST_USERS)
    .map(({ user, rank }) => ({ user: sees_users ? user : null, ...toShare(user, rank) }));
  return { ...toShare(job.user, job.rank), ahead };
};

/** Others' jobs are nobody's business. */
const hideJobs = (summary: string, { nodes }: { nodes: NodeVerdict[] }, sees: Sees): string => {
  const others = nodes.flatMap(({ constraints }) =>
    constraints.flatMap((one) => (one.kind === 'reserved' && !sees(one.for_job) ? [one.for_job] : [])),
  );
  return others.reduce((text, id) => text.replaceAll(id, 'another job'), summary);
};

export const toExplainedAnswer = (explained: Explained, sees: Sees) => {
  const { sight, explanation, window } = explained;
  const { change } = explanation;
  return {
    summary: hideJobs(explanation.summary, explanation, sees),
    at: toTime(sight.scene.at),
    starts_now: explanation.starts_now,
    constraints: explanation.constraints.map(toConstraintAnswer),
    nodes: explanation.nodes.map((verdict) => ({
      node: verdict.node,
      fits_empty: fitsEmpty(verdict),
      constraints: verdict.constraints.map((one) => toPlaceAnswer(one, sees)),
    })),
    lost_nodes: sight.lost_nodes,
    change: change && { ...change, changes: change.changes.map((one) => toChangeAnswer(one, sight.scene)) },
    no_change: explanation.no_change,
    start_window: window && toWindowAnswer(window),
    position: toPosition(explained),
    fair_share: toFairShare(explained, sees(ANY_JOB)),
    complete: sight.shapes_left_out === 0,
  };
};

const toEnded = ({ state, node, started_at, finished_at, cause }: JobRecord): string => {
  if (state === 'running') {
    return started_at === null
      ? `It is on its way: ${node} has it and starts its container.`
      : `It is running on ${node} since ${toTime(started_at)}.`;
  }
  return `It has ended: ${state}${cause ? ` (${cause})` : ''}${finished_at === null ? '' : `, at ${toTime(finished_at)}`}.`;
};

/** For a job that waits for nothing any more. */
export const toNotPendingAnswer = (job: JobRecord, now_ms: number) => ({
  ...{ job_id: job.job_id, state: job.state, summary: toEnded(job), at: toTime(now_ms), starts_now: false },
  ...{
    constraints: [],
    nodes: [],
    lost_nodes: [],
    change: null,
    no_change: null,
    start_window: null,
    position: null,
    fair_share: null,
  },
  complete: true,
});
