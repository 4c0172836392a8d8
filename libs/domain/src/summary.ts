import type { Explanation, JobConstraint, NodeVerdict } from './explain.js';
import { isTerminal } from './job.js';
import type { Measure, PlacementConstraint, QuotaConstraint } from './judge.js';
import type { PendingJob } from './pending-job.js';

const NAMES: Record<Measure, string> = { centicpus: 'CPUs', memory_mb: 'memory', gpus: 'GPUs' };

const toAmount = (measure: Measure, amount: number): string =>
  measure === 'centicpus' ? `${amount / 100} CPUs` : measure === 'memory_mb' ? `${amount} MB` : `${amount} GPUs`;

const toTime = (ms: number, at: number): string => `in ${Math.max(0, Math.ceil((ms - at) / 1000))} s`;

const LIMITS: Record<QuotaConstraint['limit'], (amount: number) => string> = {
  max_running: (amount) => `${amount} running jobs`,
  max_cpus: (amount) => `${amount / 100} CPUs`,
  max_memory_mb: (amount) => `${amount} MB`,
  max_gpus: (amount) => `${amount} GPUs`,
};

const sayOfJob = (one: JobConstraint, job: PendingJob, at: number): string => {
  switch (one.kind) {
    case 'hold':
      return 'is held until someone releases it';
    case 'back_off':
      return `waits for its next attempt, due ${toTime(one.until, at)}`;
    case 'dependency':
      if (isTerminal(one.state))
        return `cannot run any more: ${one.job}, which it is to run after, ended as ${one.state}`;
      return `waits for the end of ${one.job}, which is ${one.state}${job.after_left > 1 ? `, and ${job.after_left - 1} more` : ''}`;
    case 'no_node':
      return 'waits for a node: none reports';
    case 'no_node_for_class':
      return `waits for a node that serves the class ${one.class}: none does`;
    case 'quota':
      return `waits for quota: ${one.group} holds ${LIMITS[one.limit](one.holds)} of ${LIMITS[one.limit](one.most)}, and this adds ${LIMITS[one.limit](one.wanted)}`;
    case 'behind':
      return 'waits for its turn: others come before it';
  }
};

const PLACES: Record<string, string> = {
  drained: 'it is drained',
  class_not_served: 'it does not serve the class',
};

const sayOfPlace = (one: PlacementConstraint): string => {
  switch (one.kind) {
    case 'label':
      return `${one.node} has ${one.has === null ? 'no' : 'another'} label ${one.label}, not ${one.wanted}`;
    case 'region':
    case 'datacenter':
      return `${one.node} is in the ${one.kind} ${one.has}`;
    case 'reserved':
      return `${one.node} is kept for ${one.for_job}`;
    case 'too_small':
      return `${one.node} has ${toAmount(one.measure, one.has)}`;
    case 'no_room':
      return `${toAmount(one.measure, one.has)} are free on ${one.node}`;
    default:
      return `${one.node}: ${PLACES[one.kind] ?? one.kind}`;
  }
};

type Short = Extract<PlacementConstraint, { measure: Measure }>;

/** The resource that is short on whichever node could do, where that is all: and where there is most of it. */
const sayShort = (nodes: readonly NodeVerdict[]): string | undefined => {
  const near = nodes.filter(({ constraints }) => constraints.every(({ kind }) => kind === 'no_room'));
  const all = near.flatMap(({ constraints }) => constraints.filter((one): one is Short => one.kind === 'no_room'));
  const only = near.flatMap(({ constraints: [one, more] }) => (one?.kind === 'no_room' && !more ? [one as Short] : []));
  const [best] = (only.length > 0 ? only : all).sort((a, b) => b.has / b.wanted - a.has / a.wanted);
  if (!best) return undefined;
  return `waits for ${NAMES[best.measure]}: needs ${toAmount(best.measure, best.wanted)}, the most that is free is ${toAmount(best.measure, best.has)} on ${best.node}`;
};

const sayReserved = (nodes: readonly NodeVerdict[]): string | undefined => {
  const kept = nodes.flatMap(({ constraints: [one, more] }) => (one?.kind === 'reserved' && !more ? [one] : []))[0];
  return (
    kept &&
    `waits for ${kept.node}, which is kept free for ${kept.for_job}: a job that ends in time, or fits beside it, may pass`
  );
};

const sayNowhere = (nodes: readonly NodeVerdict[]): string => {
  const [nearest] = [...nodes].sort((a, b) => a.constraints.length - b.constraints.length);
  return `fits no node as they are now; nearest: ${nearest?.constraints.map(sayOfPlace).join(', ')}`;
};

/** One sentence for people. */
export const toSummary = (
  job: PendingJob,
  { constraints, nodes, starts_now }: Pick<Explanation, 'constraints' | 'nodes' | 'starts_now'>,
  at: number,
): string => {
  if (starts_now) return 'It is about to start: a machine that can run it takes it next.';
  const [first] = constraints;
  const said = first ? sayOfJob(first, job, at) : (sayReserved(nodes) ?? sayShort(nodes) ?? sayNowhere(nodes));
  return `It ${said}.`;
};
