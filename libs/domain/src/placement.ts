import { z } from 'zod';
import { fits, type Resources } from './resources.js';

/** One GPU of a machine, as `nvidia-smi` tells it. */
export const gpuSchema = z.strictObject({
  index: z.number().int().min(0),
  uuid: z.string().regex(/^[A-Za-z0-9-]{1,64}$/, 'must be letters, digits and dashes'),
  name: z.string().min(1).max(128),
  memory_mb: z.number().int().min(1),
});
export type Gpu = z.infer<typeof gpuSchema>;

/** Where a machine is and what it is called by those who choose among machines. */
export interface NodePlace {
  node: string;
  labels: Record<string, string>;
  region: string;
  datacenter: string;
}

export const DEFAULT_PLACE = 'default';

/** GPUs that a job asks for: whole ones, or of each so many MB. */
export interface GpuAsk {
  count: number;
  /** `any`, or (part of) a name: `a100` is found in `NVIDIA A100-SXM4-80GB`. */
  type: string;
  /** Of each GPU; other jobs that ask for a slice may share it. Absent: the whole GPU. */
  memory_mb?: number | undefined;
}

/**
 * All of a job that decides where it may run, and how long it may keep a machine. Jobs with the same shape are alike to the scheduler: where
 * one finds no room, none of them does. `groups` are those of its quotas that do not follow from user and class (see `toGroups`).
 */
export interface Shape {
  ask: Resources;
  timeout_seconds: number;
  gpus?: GpuAsk | undefined;
  node_selector?: Record<string, string> | undefined;
  eligible_regions?: string[] | undefined;
  eligible_datacenters?: string[] | undefined;
  groups?: string[] | undefined;
}

/** What a GPU may be called: its whole name and each word of it, in lower case. */
export const toGpuNames = (name: string): string[] => {
  const whole = name.toLowerCase();
  return [...new Set([whole, ...whole.split(/[^a-z0-9]+/).filter((word) => word !== '')])];
};

export const isGpuOfType = (gpu: Pick<Gpu, 'name'>, type: string): boolean =>
  type.toLowerCase() === 'any' || toGpuNames(gpu.name).includes(type.toLowerCase());

/** A job's hold on a GPU. `memory_mb` null: all of it. */
export interface GpuHold {
  uuid: string;
  memory_mb: number | null;
}

/**
 * Which GPUs a job gets, or undefined where there are too few. Whole ones: the smallest that nobody holds. Slices: those that have the least
 * room left for it, so that whole ones stay whole.
 */
export const pickGpus = (ask: GpuAsk, gpus: readonly Gpu[], holds: readonly GpuHold[]): string[] | undefined => {
  const free = gpus
    .filter((gpu) => isGpuOfType(gpu, ask.type))
    .map((gpu) => ({ gpu, left: toLeft(gpu, holds), held: holds.some((hold) => hold.uuid === gpu.uuid) }))
    .filter(({ left, held }) => (ask.memory_mb === undefined ? !held : left >= ask.memory_mb));
  free.sort((a, b) => a.left - b.left || a.gpu.index - b.gpu.index);
  return free.length < ask.count ? undefined : free.slice(0, ask.count).map(({ gpu }) => gpu.uuid);
};

const toLeft = (gpu: Gpu, holds: readonly GpuHold[]): number =>
  holds
    .filter((hold) => hold.uuid === gpu.uuid)
    .reduce((left, hold) => left - (hold.memory_mb ?? gpu.memory_mb), gpu.memory_mb);

/** Whether the machine is one of those that the job may run on at all, whatever is free on it. */
export const isEligible = (shape: Shape, place: NodePlace): boolean =>
  Object.entries(shape.node_selector ?? {}).every(([name, value]) => place.labels[name] === value) &&
  includes(shape.eligible_regions, place.region) &&
  includes(shape.eligible_datacenters, place.datacenter);

const includes = (names: string[] | undefined, name: string): boolean =>
  names === undefined || names.length === 0 || names.includes(name);

/** A machine as the scheduler sees it. */
export interface NodeView extends NodePlace {
  engine: string;
  capacity: Resources;
  gpus: Gpu[];
  reserved: Resources;
  gpu_holds: GpuHold[];
  drained: boolean;
}

/** Whether the job would fit if the machine were empty. */
export const fitsEmpty = (shape: Shape, node: Pick<NodeView, 'capacity' | 'gpus'>): boolean =>
  fits({ ...shape.ask, gpus: 0 }, node.capacity) &&
  (shape.gpus === undefined || pickGpus(shape.gpus, node.gpus, []) !== undefined);

/** Whether the job fits into what is free on the machine now. */
export const fitsNow = (shape: Shape, node: NodeView): boolean =>
  shape.ask.centicpus <= node.capacity.centicpus - node.reserved.centicpus &&
  shape.ask.memory_mb <= node.capacity.memory_mb - node.reserved.memory_mb &&
  (shape.gpus === undefined || pickGpus(shape.gpus, node.gpus, node.gpu_holds) !== undefined);

const sorted = (record: Record<string, string>): Record<string, string> =>
  Object.fromEntries(Object.entries(record).sort(([a], [b]) => (a < b ? -1 : 1)));

/**
 * A shape as the store writes it: `centicpus,memory_mb,timeout_seconds` and, where the job asks for more than that, a JSON object with
 * `g` (count, type, memory_mb or 0), `s` (labels), `r`, `d` (regions, datacenters) and `q` (groups). Equal shapes give equal texts.
 */
export const toShapeText = (shape: Shape): string => {
  const { gpus, node_selector, eligible_regions, eligible_datacenters, groups } = shape;
  const more = {
    ...(gpus ? { g: [gpus.count, gpus.type.toLowerCase(), gpus.memory_mb ?? 0] } : {}),
    ...(node_selector && Object.keys(node_selector).length > 0 ? { s: sorted(node_selector) } : {}),
    ...(eligible_regions && eligible_regions.length > 0 ? { r: [...eligible_regions].sort() } : {}),
    ...(eligible_datacenters && eligible_datacenters.length > 0 ? { d: [...eligible_datacenters].sort() } : {}),
    ...(groups && groups.length > 0 ? { q: groups } : {}),
  };
  const base = `${shape.ask.centicpus},${shape.ask.memory_mb},${shape.timeout_seconds}`;
  return Object.keys(more).length === 0 ? base : `${base},${JSON.stringify(more)}`;
};

interface ShapeExtras {
  g?: [number, string, number];
  s?: Record<string, string>;
  r?: string[];
  d?: string[];
  q?: string[];
}

/** The other way round. */
export const toShape = (text: string): Shape => {
  const [centicpus, memory_mb, timeout_seconds] = text.split(',', 3).map(Number);
  const more = JSON.parse(text.split(',').slice(3).join(',') || '{}') as ShapeExtras;
  const gpus = more.g && { count: more.g[0], type: more.g[1], memory_mb: more.g[2] || undefined };
  return {
    ask: { centicpus: centicpus ?? 0, memory_mb: memory_mb ?? 0, gpus: gpus?.count ?? 0 },
    timeout_seconds: timeout_seconds ?? 0,
    gpus,
    node_selector: more.s,
    eligible_regions: more.r,
    eligible_datacenters: more.d,
    groups: more.q,
  };
};
