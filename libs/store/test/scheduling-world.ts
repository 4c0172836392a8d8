import { type Gpu, LOCAL_USER, type MachineView, NO_RESOURCES, type Quota } from '@berth/domain';
import type { Claim, Claimant, Store } from '@berth/store';
import type { Redis } from 'ioredis';
import { toClaimant } from './open-test-store.js';

/** The same numbers for the same seed. */
export const createDice = (seed: number) => {
  let state = seed >>> 0;
  const next = (): number => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  return {
    chance: (part: number): boolean => next() < part,
    between: (least: number, most: number): number => least + Math.floor(next() * (most - least + 1)),
    pick: <T>(from: readonly T[]): T => from[Math.floor(next() * from.length)] as T,
  };
};
export type Dice = ReturnType<typeof createDice>;

export const CLASSES = ['small', 'urgent'];
/** Orders priority across its users. */
export const ACROSS = 'urgent';
export const USERS = ['alice', 'bob', 'carol', LOCAL_USER];
export const ARRAY = 'array/x';
export const GROUPS = [
  'user/alice',
  'user/*',
  'class/small',
  'class/urgent',
  'user/*/class/small',
  'user/bob/class/urgent',
  ARRAY,
];

const GPU_MODELS = [
  { name: 'NVIDIA A100-SXM4-80GB', memory_mb: 80_000 },
  { name: 'NVIDIA L4', memory_mb: 24_000 },
  { name: 'Tesla T4', memory_mb: 16_000 },
];

const createGpus = (dice: Dice, engine: string, count: number): Gpu[] =>
  Array.from({ length: count }, (_, index) => ({ index, uuid: `GPU-${engine}-${index}`, ...dice.pick(GPU_MODELS) }));

const createMachine = (dice: Dice, name: string): Claimant =>
  toClaimant({
    worker: `worker-${name}`,
    engine: `engine-${name}`,
    node: `node-${name}`,
    labels: {
      ...(dice.chance(0.5) ? { disk: 'ssd' } : {}),
      ...(dice.chance(0.5) ? { zone: dice.pick(['a', 'b']) } : {}),
    },
    region: dice.pick(['eu', 'us']),
    datacenter: dice.pick(['dc1', 'dc2']),
    gpus: createGpus(dice, name, dice.pick([0, 2, 4])),
    capacity: { centicpus: dice.between(2, 8) * 100, memory_mb: dice.between(1, 4) * 1_000, gpus: 0 },
  });

/** Two machines with a worker each and one with two, who share its ledger. */
export const createClaimants = (dice: Dice): Claimant[] => {
  const [a, b, c] = ['a', 'b', 'c'].map((name) => createMachine(dice, name)) as [Claimant, Claimant, Claimant];
  return [a, { ...a, worker: 'worker-a2' }, b, c];
};

const SLICES = [4_000, 10_000, 30_000];

const toGpuAsk = (dice: Dice) => ({
  count: dice.pick([1, 1, 2, 3]),
  type: dice.pick(['any', 'any', 'A100', 'l4', 'H100']),
  ...(dice.chance(0.4) ? { memory_mb: dice.pick(SLICES) } : {}),
});

/** The parts of a job's spec that decide where it may run. Few sizes, so that jobs share shapes. */
export const toSpecFields = (dice: Dice): Record<string, unknown> => ({
  cpus: dice.pick([0.25, 1, 2, 4]),
  memory_mb: dice.pick([64, 500, 1_500]),
  timeout_seconds: dice.pick([5, 3_600, 3_600]),
  priority: dice.pick([0, 50, 50, 90]),
  ...(dice.chance(0.3) ? { gpus: toGpuAsk(dice) } : {}),
  ...(dice.chance(0.15) ? { node_selector: { [dice.pick(['disk', 'zone'])]: dice.pick(['ssd', 'a']) } } : {}),
  ...(dice.chance(0.15) ? { eligible_regions: dice.pick([['eu'], ['us'], ['eu', 'us']]) } : {}),
  ...(dice.chance(0.1) ? { eligible_datacenters: ['dc1'] } : {}),
});

export const toQuota = (dice: Dice): Quota => ({
  ...(dice.chance(0.5) ? { max_running: dice.between(0, 3) } : {}),
  ...(dice.chance(0.3) ? { max_cpus: dice.pick([0.5, 2, 3.25]) } : {}),
  ...(dice.chance(0.3) ? { max_memory_mb: dice.pick([500, 2_000]) } : {}),
  ...(dice.chance(0.3) ? { max_gpus: dice.between(0, 2) } : {}),
});

/** One installation, driven by chance. */
export interface World {
  store: Store;
  redis: Redis;
  dice: Dice;
  claimants: Claimant[];
  /** Of all jobs that were accepted. */
  ids: string[];
  running: Claim[];
  /** By class, the tickets that are on their way: what BullMQ would hold. */
  messages: Record<string, Set<string>>;
}

/** An idle machine, but for what the caller says stands on it. */
export const toMachineView = (by: Claimant, more: Partial<MachineView> = {}): MachineView => ({
  ...{ node: by.node, engine: by.engine, labels: by.labels, region: by.region, datacenter: by.datacenter },
  ...{ capacity: by.capacity, gpus: by.gpus, reserved: NO_RESOURCES, gpu_holds: [], drained: false },
  ...more,
});
