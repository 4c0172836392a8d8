import { type Change, toLimitUnit } from './change.js';
import type { Scene } from './fill.js';
import {
  judgePlacement,
  judgeQuotas,
  type MachineView,
  type Measure,
  type PlacementConstraint,
  type QuotaConstraint,
} from './judge.js';
import type { PendingJob } from './pending-job.js';
import { isGpuOfType, pickGpus } from './placement.js';
import { toQuotaTarget } from './quota.js';
import type { ResourceClass } from './resource-class.js';
import { LEAST_ASK, toCenticpus } from './resources.js';

/**
 * Sets of changes after which nothing would keep the job from running on a machine. Each constraint can be met in one way or two; a draft is one
 * choice for each. What a choice asks of a number of the spec is the most that it may be; the least of these holds.
 */
interface Draft {
  most: Partial<Record<Measure | 'gpu_memory_mb' | 'timeout_seconds', number>>;
  changes: Change[];
}

const NOTHING: Draft = { most: {}, changes: [] };

const least = (a: number | undefined, b: number | undefined): number | undefined =>
  a === undefined ? b : b === undefined ? a : Math.min(a, b);

const join = (a: Draft, b: Draft): Draft => {
  const most: Draft['most'] = { ...a.most };
  for (const name of Object.keys(b.most) as (keyof Draft['most'])[]) {
    const value = least(a.most[name], b.most[name]);
    if (value !== undefined) most[name] = value;
  }
  const known = new Set(a.changes.map((change) => JSON.stringify(change)));
  return { most, changes: [...a.changes, ...b.changes.filter((change) => !known.has(JSON.stringify(change)))] };
};

const MOST_DRAFTS = 512;

/** One of each, in every combination. */
const combine = (choices: Draft[][]): Draft[] =>
  choices.reduce<Draft[]>(
    (drafts, next) => drafts.flatMap((draft) => next.map((one) => join(draft, one))).slice(0, MOST_DRAFTS),
    [NOTHING],
  );

const toMost = (name: keyof Draft['most'], value: number): Draft => ({ most: { [name]: value }, changes: [] });
const toDo = (...changes: Change[]): Draft => ({ most: {}, changes });

/** A job submitted again takes a moment to get there. */
const toTimeLeft = (from: number, at: number): number => {
  const seconds = Math.floor((from - at) / 1000);
  return seconds - Math.max(5, Math.ceil(seconds / 10));
};

const toBeside = ({ reservation }: MachineView): Draft | undefined => {
  if (!reservation) return undefined;
  const { centicpus, memory_mb, gpus } = reservation.left;
  return { most: { centicpus, memory_mb, gpus }, changes: [] };
};

/** The most of each GPU that so many of the right type have left. */
const toGpuDrafts = ({ shape }: PendingJob, machine: MachineView): Draft[] => {
  const { gpus: ask } = shape;
  if (!ask) return [];
  const countOf = (type: string): number =>
    machine.gpus.filter((gpu) => pickGpus({ ...ask, type, count: 1 }, [gpu], machine.gpu_holds)).length;
  const drafts = [toMost('gpus', countOf(ask.type))];
  if (ask.type.toLowerCase() !== 'any') {
    const change: Change = { kind: 'change_gpu_type', from: ask.type, to: 'any' };
    drafts.push(join(toDo(change), toMost('gpus', countOf('any'))));
  }
  if (ask.memory_mb !== undefined) {
    const left = machine.gpus
      .filter((gpu) => isGpuOfType(gpu, ask.type))
      .map((gpu) => {
        const holds = machine.gpu_holds.filter(({ uuid }) => uuid === gpu.uuid);
        return holds.reduce((rest, { memory_mb }) => rest - (memory_mb ?? gpu.memory_mb), gpu.memory_mb);
      })
      .sort((a, b) => b - a)[ask.count - 1];
    if (left !== undefined) drafts.push(toMost('gpu_memory_mb', left));
  }
  return drafts;
};

/** What is looked at. */
interface Look {
  scene: Scene;
  job: PendingJob;
  classes: readonly ResourceClass[];
}

/** A smaller job is of another class. */
const toClassChoices = ({ job, classes }: Look): { name: string; draft: Draft }[] =>
  classes
    .filter(({ name, max_gpus }) => name !== job.class && max_gpus > 0 === job.shape.ask.gpus > 0)
    .map(({ name, max_cpus, max_memory_mb, max_gpus }) => {
      const most = { centicpus: toCenticpus(max_cpus), memory_mb: max_memory_mb };
      return { name, draft: { most: max_gpus > 0 ? { ...most, gpus: max_gpus } : most, changes: [] } };
    });

/** The ways to do away with one constraint of a machine. None: there is no way. */
const toPlaceChoices = (one: PlacementConstraint, look: Look, machine: MachineView): Draft[] => {
  const {
    job,
    scene: { at },
  } = look;
  switch (one.kind) {
    case 'drained':
      return [toDo({ kind: 'resume_node', node: one.node })];
    case 'label':
      return [toDo({ kind: 'change_label', label: one.label, from: one.wanted, to: one.has })];
    case 'region':
      return [toDo({ kind: 'add_region', add: one.has })];
    case 'datacenter':
      return [toDo({ kind: 'add_datacenter', add: one.has })];
    case 'too_small':
    case 'no_room': {
      if (one.measure === 'gpus') return toGpuDrafts(job, machine);
      const { capacity, reserved } = machine;
      return [toMost(one.measure, Math.min(one.has, capacity[one.measure] - reserved[one.measure]))];
    }
    case 'reserved': {
      const beside = toBeside(machine);
      return [toMost('timeout_seconds', toTimeLeft(one.from, at)), ...(beside ? [beside] : [])];
    }
    case 'class_not_served':
      return toClassChoices(look)
        .filter(({ name }) => machine.classes?.includes(name))
        .map(({ draft }) => draft);
  }
};

const LIMIT_MEASURES: Partial<Record<string, Measure>> = {
  max_cpus: 'centicpus',
  max_memory_mb: 'memory_mb',
  max_gpus: 'gpus',
};

const toQuotaChoices = ({ group, limit, most, holds, wanted }: QuotaConstraint, look: Look): Draft[] => {
  const measure = LIMIT_MEASURES[limit];
  const from = toLimitUnit(limit, most);
  const raise: Change = { kind: 'raise_quota', group, limit, from, to: toLimitUnit(limit, holds + wanted) };
  const isOfClass = group.endsWith(`class/${look.job.class}`);
  return [
    ...(toQuotaTarget(group) ? [toDo(raise)] : []),
    ...(measure ? [toMost(measure, most - holds)] : []),
    ...(isOfClass ? toClassChoices(look).map(({ draft }) => draft) : []),
  ];
};

const NUMBERS = {
  centicpus: { field: 'cpus', least: LEAST_ASK.centicpus, toUnit: (n: number) => n / 100 },
  memory_mb: { field: 'memory_mb', least: LEAST_ASK.memory_mb, toUnit: (n: number) => n },
  gpus: { field: 'gpus.count', least: 1, toUnit: (n: number) => n },
  gpu_memory_mb: { field: 'gpus.memory_mb', least: 1, toUnit: (n: number) => n },
  timeout_seconds: { field: 'timeout_seconds', least: 1, toUnit: (n: number) => n },
} as const;

const toNow = ({ shape }: PendingJob, name: keyof Draft['most']): number =>
  name === 'timeout_seconds'
    ? shape.timeout_seconds
    : name === 'gpu_memory_mb'
      ? (shape.gpus?.memory_mb ?? 0)
      : shape.ask[name];

/** As changes; undefined where something would have to be less than there can be. */
const toChanges = (job: PendingJob, { most, changes }: Draft): Change[] | undefined => {
  const all = [...changes];
  for (const name of Object.keys(most) as (keyof Draft['most'])[]) {
    const { field, least: smallest, toUnit } = NUMBERS[name];
    const [from, to] = [toNow(job, name), most[name] ?? 0];
    if (to >= from) continue;
    if (to < smallest) return undefined;
    all.push({ kind: 'lower', field, from: toUnit(from), to: toUnit(to) });
  }
  return all;
};

/** A job that asks for less needs less of a quota. */
const toLeastRaise = (change: Change, over: readonly QuotaConstraint[], most: Draft['most']): Change => {
  if (change.kind !== 'raise_quota') return change;
  const { group, limit } = change;
  const measure = LIMIT_MEASURES[limit];
  const one = over.find((other) => other.group === group && other.limit === limit);
  if (!one || measure === undefined) return change;
  return { ...change, to: toLimitUnit(limit, one.holds + Math.min(one.wanted, most[measure] ?? one.wanted)) };
};

/** For each machine, the sets of changes after which the job could run there. */
export const draftChanges = (look: Look): Change[][] => {
  const { scene, job } = look;
  const over = judgeQuotas(job, scene);
  const quotas = over.map((one) => toQuotaChoices(one, look));
  const own = job.held ? [toDo({ kind: 'release_hold' })] : [NOTHING];
  return scene.machines.flatMap((machine) => {
    const places = judgePlacement(job, machine, scene.at).map((one) => toPlaceChoices(one, look, machine));
    return combine([own, ...quotas, ...places]).flatMap((draft) => {
      const raised = draft.changes.map((change) => toLeastRaise(change, over, draft.most));
      const changes = toChanges(job, { ...draft, changes: raised });
      return changes && changes.length > 0 ? [changes] : [];
    });
  });
};
