import type { PlacementSpec, Quota, ResourceClass } from '@berth/domain';
import { classOf, type OracleJob, type OracleNode, type OracleWorld } from './oracle-world.js';

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
    shuffle: <T>(items: T[]): T[] =>
      items
        .map((item) => [next(), item] as const)
        .sort(([a], [b]) => a - b)
        .map(([, item]) => item),
  };
};
export type Dice = ReturnType<typeof createDice>;

const USERS = ['alice', 'bob', 'carol'];
const GPUS = [
  { name: 'NVIDIA A100-SXM4-80GB', memory_mb: 80_000 },
  { name: 'NVIDIA L4', memory_mb: 24_000 },
];

const toClasses = (dice: Dice): ResourceClass[] => {
  const size = (name: string, max_cpus: number, max_memory_mb: number, max_gpus: number): ResourceClass => ({
    ...{ name, max_cpus, max_memory_mb, max_gpus, profile: 'standard' },
    priority_across_users: dice.chance(0.3),
  });
  return [size('small', 1, 1_000, 0), size('large', 8, 8_000, 0), size('gpu', 8, 8_000, 8)];
};

const toNode = (dice: Dice, name: string): OracleNode => ({
  name,
  cpus: dice.between(2, 8),
  memory: dice.between(1, 8) * 1_000,
  labels: {
    ...(dice.chance(0.5) ? { disk: dice.pick(['ssd', 'hdd']) } : {}),
    ...(dice.chance(0.4) ? { fast: 'yes' } : {}),
  },
  region: dice.pick(['eu', 'us']),
  datacenter: dice.pick(['dc1', 'dc2']),
  gpus: Array.from({ length: dice.pick([0, 1, 3]) }, (_, index) => ({
    index,
    uuid: `${name}-${index}`,
    ...dice.pick(GPUS),
  })),
  classes: dice.chance(0.75) ? ['small', 'large', 'gpu'] : dice.pick([['small'], ['large', 'gpu'], ['small', 'large']]),
  drained: dice.chance(0.15),
  kept: null,
});

const toSpec = (dice: Dice): PlacementSpec => ({
  cpus: dice.pick([0.25, 1, 2, 5, 8]),
  memory_mb: dice.pick([64, 900, 2_000, 6_000]),
  timeout_seconds: dice.pick([10, 600, 3_600]),
  ...(dice.chance(0.25)
    ? {
        gpus: {
          count: dice.pick([1, 1, 2, 3]),
          type: dice.pick(['any', 'A100', 'l4', 'H100']),
          ...(dice.chance(0.4) ? { memory_mb: dice.pick([10_000, 30_000]) } : {}),
        },
      }
    : {}),
  ...(dice.chance(0.2) ? { node_selector: { [dice.pick(['disk', 'fast'])]: dice.pick(['ssd', 'yes']) } } : {}),
  ...(dice.chance(0.15) ? { eligible_regions: [dice.pick(['eu', 'us', 'asia'])] } : {}),
  ...(dice.chance(0.1) ? { eligible_datacenters: [dice.pick(['dc1', 'dc2'])] } : {}),
});

const toJob = (dice: Dice, i: number, specs: PlacementSpec[]): OracleJob => ({
  id: `job-${String(i).padStart(3, '0')}`,
  user: dice.pick(USERS),
  spec: structuredClone(dice.pick(specs)),
  priority: dice.pick([10, 50, 50, 90]),
  created: 1_000 + i,
  held: dice.chance(0.06),
  due: dice.chance(0.05) ? 5_000_000 : null,
  after: dice.chance(0.05) ? ['job-000'] : [],
  node: null,
  gpus: [],
});

const toQuota = (dice: Dice): Quota => ({
  ...(dice.chance(0.6) ? { max_running: dice.between(0, 3) } : {}),
  ...(dice.chance(0.3) ? { max_cpus: dice.pick([0.5, 2, 5.25]) } : {}),
  ...(dice.chance(0.3) ? { max_memory_mb: dice.pick([500, 3_000]) } : {}),
  ...(dice.chance(0.2) ? { max_gpus: dice.between(0, 2) } : {}),
});

const GROUPS = [
  ...['user/*', 'user/alice', 'user/bob', 'class/small', 'class/large', 'class/gpu'],
  ...['user/*/class/small', 'user/carol/class/large'],
];

const keep = (dice: Dice, world: OracleWorld, node: OracleNode): void => {
  const left = {
    centicpus: dice.pick([0, 100, 400]),
    memory_mb: dice.pick([0, 1_000, 3_000]),
    gpus: dice.pick([0, 2]),
  };
  node.kept = { job: dice.pick(world.jobs).id, at: world.at + dice.pick([30, 120, 1_200]) * 1000, left };
};

/** Jobs of a handful of kinds, some of which run already when the rest comes. */
export const createWorld = (dice: Dice): OracleWorld => {
  const specs = Array.from({ length: dice.between(2, 9) }, () => toSpec(dice));
  const world: OracleWorld = {
    at: 1_000_000,
    jobs: Array.from({ length: dice.between(4, 24) }, (_, i) => toJob(dice, i, specs)),
    nodes: Array.from({ length: dice.pick([0, 1, 2, 2, 3, 4]) }, (_, i) => toNode(dice, `node-${i}`)),
    quotas: Object.fromEntries(GROUPS.flatMap((group) => (dice.chance(0.15) ? [[group, toQuota(dice)]] : []))),
    weights: dice.chance(0.5) ? { alice: 2, bob: 0.5 } : {},
    use: Object.fromEntries(USERS.flatMap((user) => (dice.chance(0.6) ? [[user, dice.between(1, 50_000)]] : []))),
    learned: dice.chance(0.5) ? { 'alice|small': 5_000, 'bob|large': 200_000 } : {},
    classes: toClasses(dice),
  };
  world.jobs = world.jobs.filter((job) => classOf(world, job.spec) !== undefined);
  for (const node of world.nodes) if (dice.chance(0.25) && world.jobs.length > 0) keep(dice, world, node);
  return world;
};
