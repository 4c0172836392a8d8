import type { Scene } from './fill.js';
import { findQuota } from './judge.js';
import {
  type PendingJob,
  type PlacementSpec,
  toCandidate,
  waitsForMachine,
  withoutPending,
  withPending,
} from './pending-job.js';
import type { Quota, QuotaTarget } from './quota.js';
import { toQuotaTarget } from './quota.js';
import type { ResourceClass } from './resource-class.js';

/** A number of the spec made smaller. CPUs as users write them. */
interface Lower {
  kind: 'lower';
  field: 'cpus' | 'memory_mb' | 'gpus.count' | 'gpus.memory_mb' | 'timeout_seconds';
  from: number;
  to: number;
}

/** One thing that someone can do. Those of the spec mean: cancel the job, and submit it like this. */
export type Change =
  | Lower
  | { kind: 'change_label'; label: string; from: string; to: string | null }
  | { kind: 'add_region' | 'add_datacenter'; add: string }
  | { kind: 'change_gpu_type'; from: string; to: string }
  | { kind: 'release_hold' }
  | { kind: 'resume_node'; node: string }
  | { kind: 'raise_quota'; group: string; limit: keyof Quota; from: number; to: number }
  | { kind: 'raise_priority'; from: number; to: number };

const SPEC_KINDS = ['lower', 'change_label', 'add_region', 'add_datacenter', 'change_gpu_type'];
export const isOfSpec = ({ kind }: Change): boolean => SPEC_KINDS.includes(kind);

/** How much of what was there a change takes or adds. What is not a number counts as one. */
export const toRelativeSize = (change: Change): number => {
  if (change.kind === 'lower') return (change.from - change.to) / change.from;
  if (change.kind === 'raise_quota') return (change.to - change.from) / Math.max(1, change.from);
  if (change.kind === 'raise_priority') return (change.to - change.from) / 100;
  return 1;
};

const toSelector = (selector: Record<string, string>, label: string, to: string | null): Record<string, string> => {
  const { [label]: _, ...rest } = selector;
  return to === null ? rest : { ...rest, [label]: to };
};

const lower = (spec: PlacementSpec, { field, to }: Lower): PlacementSpec => {
  if (field === 'cpus' || field === 'memory_mb' || field === 'timeout_seconds') return { ...spec, [field]: to };
  const gpus = spec.gpus ?? { count: 0, type: 'any' };
  return { ...spec, gpus: field === 'gpus.count' ? { ...gpus, count: to } : { ...gpus, memory_mb: to } };
};

const changeOne = (spec: PlacementSpec, change: Change): PlacementSpec => {
  switch (change.kind) {
    case 'lower':
      return lower(spec, change);
    case 'change_label':
      return { ...spec, node_selector: toSelector(spec.node_selector ?? {}, change.label, change.to) };
    case 'add_region':
      return { ...spec, eligible_regions: [...(spec.eligible_regions ?? []), change.add] };
    case 'add_datacenter':
      return { ...spec, eligible_datacenters: [...(spec.eligible_datacenters ?? []), change.add] };
    case 'change_gpu_type':
      return spec.gpus ? { ...spec, gpus: { ...spec.gpus, type: change.to } } : spec;
    default:
      return spec;
  }
};

export const changeSpec = (spec: PlacementSpec, changes: readonly Change[]): PlacementSpec => {
  let changed = spec;
  for (const change of changes) changed = changeOne(changed, change);
  return changed;
};

/** The field of the spec that a change is about, and what stands there then, of objects only what changes. */
const toPatched = (change: Change, changed: PlacementSpec): [string, unknown] | undefined => {
  switch (change.kind) {
    case 'lower': {
      const [field = '', part] = change.field.split('.');
      return [field, part === undefined ? change.to : { [part]: change.to }];
    }
    case 'change_label':
      return ['node_selector', { [change.label]: change.to }];
    case 'add_region':
      return ['eligible_regions', changed.eligible_regions];
    case 'add_datacenter':
      return ['eligible_datacenters', changed.eligible_datacenters];
    case 'change_gpu_type':
      return ['gpus', { type: change.to }];
    default:
      return undefined;
  }
};

const isObject = (value: unknown): value is object =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** What of the spec changes, as an RFC 7396 merge patch. Null: nothing. */
export const toMergePatch = (spec: PlacementSpec, changes: readonly Change[]): Record<string, unknown> | null => {
  const changed = changeSpec(spec, changes);
  const patch: Record<string, unknown> = {};
  for (const change of changes) {
    const patched = toPatched(change, changed);
    if (!patched) continue;
    const [field, value] = patched;
    const before = patch[field];
    patch[field] = isObject(before) && isObject(value) ? { ...before, ...value } : value;
  }
  return Object.keys(patch).length === 0 ? null : patch;
};

/** The whole quota to set, and for whom: a group that has none of its own has that of every user so far. */
export const toQuotaToSet = (
  quotas: Scene['quotas'],
  { group, limit, to }: Extract<Change, { kind: 'raise_quota' }>,
): { target: QuotaTarget | undefined; quota: Quota } => ({
  target: toQuotaTarget(group),
  quota: { ...findQuota(quotas, group), [limit]: to },
});

export const setQuotas = (quotas: Scene['quotas'], changes: readonly Change[]): Scene['quotas'] => {
  const set: Record<string, Quota> = { ...quotas };
  for (const change of changes) {
    if (change.kind === 'raise_quota') set[change.group] = toQuotaToSet(set, change).quota;
  }
  return set;
};

/** The job after the changes; undefined where no class holds it then. One of another spec is submitted anew. */
export const changeJob = (
  job: PendingJob,
  changes: readonly Change[],
  { classes, at }: { classes: ResourceClass[]; at: number },
): PendingJob | undefined => {
  const priority = changes.find((one) => one.kind === 'raise_priority')?.to ?? job.priority;
  const held = job.held && !changes.some(({ kind }) => kind === 'release_hold');
  if (!changes.some(isOfSpec)) return { ...job, priority, held };
  const spec = changeSpec(job.spec, changes);
  const candidate = toCandidate(job, spec, classes);
  return candidate && { ...job, ...candidate, spec, priority, held, created_at: Math.max(at, job.created_at) };
};

/** Everything as it would be after the changes. */
export const applyChanges = (scene: Scene, job: PendingJob, changed: PendingJob, changes: readonly Change[]): Scene => {
  const without = waitsForMachine(job) ? withoutPending(scene.buckets, job) : scene.buckets;
  const resumed = changes.flatMap((change) => (change.kind === 'resume_node' ? [change.node] : []));
  return {
    ...scene,
    buckets: waitsForMachine(changed) ? withPending(without, changed) : without,
    quotas: setQuotas(scene.quotas, changes),
    machines: scene.machines.map((one) => (resumed.includes(one.node) ? { ...one, drained: false } : one)),
  };
};

/** For limits of CPUs, quotas have CPUs and counts have hundredths. */
export const toLimitUnit = (limit: keyof Quota, amount: number): number =>
  limit === 'max_cpus' ? amount / 100 : amount;
