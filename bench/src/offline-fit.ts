import { fits, minus, NO_RESOURCES, plus, type Resources, toDominantShare } from '@berth/domain';
import type { SimulatedJob, Workload } from './simulated-jobs.js';

/** A machine of the plan: what is free, and what ends when. */
interface PlannedNode {
  free: Resources;
  running: { job: SimulatedJob; ends_at: number }[];
}

type Order = (job: SimulatedJob) => number;

const toPart =
  (all: Resources) =>
  ({ shape }: SimulatedJob): number =>
    toDominantShare(shape.ask, all);

const sumCapacity = ({ machines }: Workload): Resources =>
  machines.map(({ capacity }) => capacity).reduce(plus, NO_RESOURCES);

/** The machine that the job leaves the least room on. */
const findBestFit = (job: SimulatedJob, nodes: readonly PlannedNode[], all: Resources): PlannedNode | undefined => {
  let best: PlannedNode | undefined;
  let least = Number.POSITIVE_INFINITY;
  for (const node of nodes) {
    if (!fits(job.shape.ask, node.free)) continue;
    const { centicpus, memory_mb, gpus } = minus(node.free, job.shape.ask);
    const left = centicpus / all.centicpus + memory_mb / all.memory_mb + gpus / Math.max(1, all.gpus);
    if (left < least) [best, least] = [node, left];
  }
  return best;
};

const start = (job: SimulatedJob, node: PlannedNode, at: number): void => {
  node.free = minus(node.free, job.shape.ask);
  node.running.push({ job, ends_at: at + job.lasts_ms });
};

const end = (nodes: readonly PlannedNode[], at: number): void => {
  for (const node of nodes) {
    for (const { job } of node.running.filter(({ ends_at }) => ends_at <= at))
      node.free = plus(node.free, job.shape.ask);
    node.running = node.running.filter(({ ends_at }) => ends_at > at);
  }
};

/** Whenever there is room, the largest job by `order` that fits, on the machine that it fits best. Returns when the last one ends. */
const planBestFit = (workload: Workload, order: Order): number => {
  const [{ jobs, machines }, all] = [workload, sumCapacity(workload)];
  const nodes = machines.map(({ capacity }): PlannedNode => ({ free: capacity, running: [] }));
  let left = [...jobs].sort((a, b) => order(b) - order(a));
  let last = 0;
  for (let at = 0; ; ) {
    end(nodes, at);
    const now = at;
    left = left.filter((job) => {
      const node = job.submitted_at <= now ? findBestFit(job, nodes, all) : undefined;
      if (node) start(job, node, now);
      return node === undefined;
    });
    const ends = nodes.flatMap(({ running }) => running.map(({ ends_at }) => ends_at));
    last = ends.reduce((a, b) => Math.max(a, b), last);
    const next = [...ends, ...left.map(({ submitted_at }) => submitted_at)].filter((time) => time > at);
    if (next.length === 0) return last;
    at = next.reduce((a, b) => Math.min(a, b));
  }
};

/** One machine as large as all of them together: nothing is lost to gaps. */
const toOneMachine = (workload: Workload): Workload => ({
  jobs: workload.jobs,
  machines: workload.machines.slice(0, 1).map((machine) => ({ ...machine, capacity: sumCapacity(workload) })),
});

/**
 * When the best of some plans is over that know no durations: in the order of submission, the longest timeout first, the largest first. They
 * owe no user a share and have one machine as large as all. What even this lacks to the offline plan, it lacks in knowledge.
 */
export const planBlind = (workload: Workload): number => {
  const orders: Order[] = [() => 0, ({ shape }) => shape.timeout_seconds, toPart(sumCapacity(workload))];
  return Math.min(...orders.map((order) => planBestFit(toOneMachine(workload), order)));
};

/**
 * When a plan is over that knows all durations beforehand: best fit, jobs in decreasing order of their duration, of their part of the cluster
 * times their duration, or of their part alone; of these three the best.
 */
export const planOffline = (workload: Workload): number => {
  const toShare = toPart(sumCapacity(workload));
  const orders: Order[] = [
    ({ lasts_ms }) => lasts_ms,
    (job) => toShare(job) * job.lasts_ms,
    (job) => toShare(job) * 1e12 + job.lasts_ms,
  ];
  return Math.min(...orders.map((order) => planBestFit(workload, order)));
};

/** No plan at all is over before: what the jobs hold of the scarcest resource, and the last to be submitted or to last. */
export const findLowerBound = (workload: Workload): number => {
  const [{ jobs }, all] = [workload, sumCapacity(workload)];
  const held = (measure: keyof Resources) =>
    all[measure] === 0
      ? 0
      : jobs.reduce((sum, { shape, lasts_ms }) => sum + shape.ask[measure] * lasts_ms, 0) / all[measure];
  return Math.max(
    ...[held('centicpus'), held('memory_mb'), held('gpus')],
    ...jobs.map(({ submitted_at, lasts_ms }) => submitted_at + lasts_ms),
  );
};
