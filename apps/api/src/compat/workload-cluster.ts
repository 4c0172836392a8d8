import { minus, NO_RESOURCES, plus, type Resources } from '@berth/domain';
import type { Node } from '@berth/store';
import { toNaiveTime } from './wire-time.js';

const CENTICPUS_PER_CORE = 100;
const MIB_PER_GB = 1024;

/** Whole cores and whole GB, as the format counts: what is left over is of no use to its jobs. */
const toCores = ({ centicpus }: Resources): number => Math.max(0, Math.floor(centicpus / CENTICPUS_PER_CORE));
const toGigabytes = ({ memory_mb }: Resources): number => Math.max(0, Math.floor(memory_mb / MIB_PER_GB));

const toPercent = (part: number, whole: number): number => (whole > 0 ? Math.round((part / whole) * 10_000) / 100 : 0);

/** What a machine has, has reserved for running jobs, and has left. Of one that takes no more jobs nothing is to be had. */
const toExecutor = (node: Node) => {
  const { capacity, reserved } = node;
  const free = node.drained ? NO_RESOURCES : minus(capacity, reserved);
  return {
    ip: node.node,
    total_cpu_cores: toCores(capacity),
    available_cpu_cores: toCores(free),
    total_memory_gb: toGigabytes(capacity),
    available_memory_gb: toGigabytes(free),
    gpu_types: [...new Set(node.gpus.map(({ name }) => name))],
    total_gpus: capacity.gpus,
    available_gpus: Math.max(0, free.gpus),
    region: node.region,
    datacenter: node.datacenter,
    last_heartbeat: toNaiveTime(node.last_heartbeat),
    cpu_utilization: toPercent(reserved.centicpus, capacity.centicpus),
    memory_utilization: toPercent(reserved.memory_mb, capacity.memory_mb),
    running_jobs: node.running_jobs.length,
  };
};

const total = (resources: Resources[]): Resources => resources.reduce(plus, NO_RESOURCES);

/** Every machine that is not lost, and all of them together. */
export const toExecutors = (nodes: Node[]) => {
  const present = nodes.filter((node) => node.state !== 'lost');
  const executors = present.map(toExecutor);
  const sum = (field: 'total_cpu_cores' | 'available_cpu_cores' | 'total_memory_gb' | 'available_memory_gb') =>
    executors.reduce((all, executor) => all + executor[field], 0);
  const capacity = total(present.map((node) => node.capacity));
  const reserved = total(present.map((node) => node.reserved));
  const cluster_stats = {
    total_executors: executors.length,
    total_cpu_cores: sum('total_cpu_cores'),
    available_cpu_cores: sum('available_cpu_cores'),
    total_memory_gb: sum('total_memory_gb'),
    available_memory_gb: sum('available_memory_gb'),
    cluster_cpu_utilization: toPercent(reserved.centicpus, capacity.centicpus),
    cluster_memory_utilization: toPercent(reserved.memory_mb, capacity.memory_mb),
  };
  return { executors, cluster_stats };
};

export type SizeCounts = Record<'small' | 'medium' | 'large', number>;

/** The format's three sizes; they are not Berth's resource classes. */
export const toSize = ({ centicpus, memory_mb }: Resources): keyof SizeCounts => {
  if (centicpus <= 2 * CENTICPUS_PER_CORE && memory_mb <= 4 * MIB_PER_GB) return 'small';
  return centicpus <= 8 * CENTICPUS_PER_CORE && memory_mb <= 16 * MIB_PER_GB ? 'medium' : 'large';
};
