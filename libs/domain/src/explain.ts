import type { Scene } from './fill.js';
import { findRunnable, listAskers } from './fill.js';
import { judgePlacement, judgeQuotas, type PlacementConstraint, type QuotaConstraint } from './judge.js';
import { type OpenDependency, type PendingJob, waitsForMachine } from './pending-job.js';
import { judgeJob, pick } from './pick.js';
import type { ResourceClass } from './resource-class.js';
import { findSmallestChange, type Proposal } from './smallest-change.js';
import { toSummary } from './summary.js';

/** What keeps a job from running, wherever. Times are Unix ms. */
export type JobConstraint =
  | { kind: 'hold' }
  | { kind: 'back_off'; until: number }
  | ({ kind: 'dependency' } & OpenDependency)
  | { kind: 'no_node' }
  | { kind: 'no_node_for_class'; class: string }
  | QuotaConstraint
  /** Only the order is against it: others get what it could run on. */
  | { kind: 'behind' };

export interface NodeVerdict {
  node: string;
  /** Empty: it could run there, as far as the node is concerned. */
  constraints: PlacementConstraint[];
}

export interface Explanation {
  /** Nothing is against it: some machine that asks will get it. */
  starts_now: boolean;
  constraints: JobConstraint[];
  nodes: NodeVerdict[];
  change: Proposal | null;
  /** Why there is none. */
  no_change: string | null;
  summary: string;
}

const judgeOwn = ({ held, due_at, dependencies }: PendingJob): JobConstraint[] => [
  ...(held ? [{ kind: 'hold' as const }] : []),
  ...(due_at === null ? [] : [{ kind: 'back_off' as const, until: due_at }]),
  ...dependencies.map((one) => ({ kind: 'dependency' as const, ...one })),
];

const judgeClass = ({ class: name }: PendingJob, { machines }: Scene): JobConstraint[] => {
  if (machines.length === 0) return [{ kind: 'no_node' }];
  const isServed = machines.some(({ classes }) => classes === undefined || classes.includes(name));
  return isServed ? [] : [{ kind: 'no_node_for_class', class: name }];
};

/** Whether a machine that asks for a job of the class now gets this one. */
const isNext = (job: PendingJob, scene: Scene): boolean =>
  listAskers(scene)
    .filter(({ class: name }) => name === job.class)
    .some(({ engine }) => {
      const machine = scene.machines.find((one) => one.engine === engine);
      if (!machine || judgeJob(job, machine, scene).length > 0) return false;
      return pick(scene, job.class, machine)?.job_id === job.job_id;
    });

const judgeOrder = (job: PendingJob, scene: Scene): JobConstraint[] => {
  const isFree = scene.machines.some((machine) => judgeJob(job, machine, scene).length === 0);
  return waitsForMachine(job) && isFree && !isNext(job, scene) ? [{ kind: 'behind' }] : [];
};

/** Every constraint that binds now, whatever the machine; those of each machine are beside them. */
export const listConstraints = (scene: Scene, job: PendingJob): JobConstraint[] => [
  ...judgeOwn(job),
  ...judgeClass(job, scene),
  ...judgeQuotas(job, scene),
  ...judgeOrder(job, scene),
];

export const judgeNodes = (scene: Scene, job: PendingJob): NodeVerdict[] =>
  scene.machines.map((machine) => ({ node: machine.node, constraints: judgePlacement(job, machine, scene.at) }));

const toNoChange = (job: PendingJob, scene: Scene, is_settled: boolean): string => {
  if (job.after_left > 0) return 'It runs after others, which have not ended; no change of these lets it start before.';
  if (job.due_at !== null) return 'It waits for its next attempt, which begins by itself.';
  if (scene.machines.length === 0) return 'There is no node.';
  if (!is_settled) return 'Machines are about to take jobs: ask again in a moment.';
  return 'No lower ask, other place, larger quota or resumed node alone would let it start now.';
};

/** Why a pending job is not running, from one look at everything. */
export const explainPending = (scene: Scene, job: PendingJob, classes: ResourceClass[]): Explanation => {
  const constraints = listConstraints(scene, job);
  const nodes = judgeNodes(scene, job);
  const starts_now = constraints.length === 0 && nodes.some((one) => one.constraints.length === 0);
  const is_settled = findRunnable(scene).length === 0;
  const change = starts_now ? null : (findSmallestChange(scene, job, { classes, is_settled }) ?? null);
  const no_change = change || starts_now ? null : toNoChange(job, scene, is_settled);
  const shown = { constraints, nodes, starts_now };
  return { ...shown, change, no_change, summary: toSummary(job, shown, scene.at) };
};
