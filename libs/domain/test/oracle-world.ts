import {
  ALL_USERS,
  type Bucket,
  type Change,
  type PendingJob,
  type PlacementSpec,
  type Quota,
  type ResourceClass,
  type Scene,
  toQueueScore,
  toShapeText,
} from '@berth/domain';

/**
 * A world of users, machines and jobs, made by chance, and what happens in it, in the plainest words and without anything that the scheduler
 * is made of: what the explanations are held against. Only `toScene` and `toPending` put it into the scheduler's own shapes.
 */
export interface OracleJob {
  id: string;
  user: string;
  spec: PlacementSpec;
  priority: number;
  created: number;
  held: boolean;
  due: number | null;
  /** Jobs that it runs after, which have not ended. */
  after: string[];
  node: string | null;
  gpus: string[];
}

export interface OracleNode {
  name: string;
  cpus: number;
  memory: number;
  labels: Record<string, string>;
  region: string;
  datacenter: string;
  gpus: { index: number; uuid: string; name: string; memory_mb: number }[];
  classes: string[];
  drained: boolean;
  kept: { job: string; at: number; left: { centicpus: number; memory_mb: number; gpus: number } } | null;
}

export interface OracleWorld {
  at: number;
  jobs: OracleJob[];
  nodes: OracleNode[];
  /** By group; `user/*` for every user. */
  quotas: Record<string, Quota>;
  weights: Record<string, number>;
  /** Decayed, in share-milliseconds. */
  use: Record<string, number>;
  learned: Record<string, number>;
  classes: ResourceClass[];
}

const HALF_LIFE_MS = 3_600_000;

export const classOf = (world: OracleWorld, { cpus, memory_mb, gpus }: PlacementSpec): ResourceClass | undefined =>
  world.classes.find((one) => {
    const count = gpus?.count ?? 0;
    if (one.max_gpus === 0 ? count > 0 : count === 0) return false;
    return cpus <= one.max_cpus && memory_mb <= one.max_memory_mb && count <= one.max_gpus;
  });

export const classNameOf = (world: OracleWorld, job: OracleJob): string => classOf(world, job.spec)?.name ?? '';

const cents = (cpus: number): number => Math.round(cpus * 100);

export const runsOn = (world: OracleWorld, node: OracleNode): OracleJob[] =>
  world.jobs.filter((job) => job.node === node.name);

export const total = (world: OracleWorld) => ({
  centicpus: world.nodes.reduce((sum, node) => sum + cents(node.cpus), 0),
  memory_mb: world.nodes.reduce((sum, node) => sum + node.memory, 0),
  gpus: world.nodes.reduce((sum, node) => sum + node.gpus.length, 0),
});

export const isWaiting = (job: OracleJob): boolean =>
  job.node === null && !job.held && job.due === null && job.after.length === 0;

const shapeOf = (world: OracleWorld, job: OracleJob) => {
  const { cpus, memory_mb, gpus, ...place } = job.spec;
  const across = classOf(world, job.spec)?.priority_across_users === true;
  const groups = across ? [`user/${job.user}`, `user/${job.user}/class/${classNameOf(world, job)}`] : undefined;
  return { ask: { centicpus: cents(cpus), memory_mb, gpus: gpus?.count ?? 0 }, gpus, groups, ...place };
};

const bucketOf = (world: OracleWorld, job: OracleJob): string =>
  classOf(world, job.spec)?.priority_across_users ? ALL_USERS : job.user;

const toRank = (world: OracleWorld, user: string): number => {
  const use = world.use[user] ?? 0;
  if (user === ALL_USERS || use === 0) return Number.NEGATIVE_INFINITY;
  return Math.log2(use / (world.weights[user] ?? 1)) + world.at / HALF_LIFE_MS;
};

export const toPending = (world: OracleWorld, job: OracleJob): PendingJob => ({
  job_id: job.id,
  user: job.user,
  rank: toRank(world, job.user),
  class: classNameOf(world, job),
  bucket: bucketOf(world, job),
  shape: shapeOf(world, job),
  spec: job.spec,
  priority: job.priority,
  created_at: job.created,
  held: job.held,
  due_at: job.due,
  after_left: job.after.length,
  dependencies: job.after.map((id) => ({ job: id, condition: 'completed', state: 'pending' })),
});

const toBuckets = (world: OracleWorld, className: string): Bucket[] => {
  const buckets = new Map<string, Bucket>();
  const waiting = world.jobs.filter((job) => isWaiting(job) && classNameOf(world, job) === className);
  for (const job of waiting) {
    const user = bucketOf(world, job);
    const bucket = buckets.get(user) ?? { user, rank: toRank(world, user), queues: [] };
    buckets.set(user, bucket);
    const shape = shapeOf(world, job);
    const text = toShapeText(shape);
    let queue = bucket.queues.find((one) => one.text === text);
    if (!queue) {
      queue = { text, shape, jobs: [] };
      bucket.queues.push(queue);
    }
    queue.jobs.push({ job_id: job.id, score: toQueueScore(job.priority, job.created) });
    queue.jobs.sort((a, b) => a.score - b.score);
  }
  return [...buckets.values()];
};

/** How much of each quota's group is held, by group, as the store counts it. */
const toTallies = (world: OracleWorld): Scene['tallies'] => {
  const tallies: Record<
    string,
    { running: number; centicpus: number; memory_mb: number; gpus: number; pending: number }
  > = {};
  for (const job of world.jobs) {
    const name = classNameOf(world, job);
    for (const group of [`user/${job.user}`, `class/${name}`, `user/${job.user}/class/${name}`]) {
      tallies[group] ??= { running: 0, centicpus: 0, memory_mb: 0, gpus: 0, pending: 0 };
      const tally = tallies[group];
      if (job.node === null) {
        tally.pending += 1;
        continue;
      }
      tally.running += 1;
      tally.centicpus += cents(job.spec.cpus);
      tally.memory_mb += job.spec.memory_mb;
      tally.gpus += job.spec.gpus?.count ?? 0;
    }
  }
  return tallies;
};

export const toScene = (world: OracleWorld): Scene => ({
  at: world.at,
  buckets: Object.fromEntries(world.classes.map(({ name }) => [name, toBuckets(world, name)])),
  machines: world.nodes.map((node) => {
    const running = runsOn(world, node);
    const gpu_holds = running.flatMap((job) =>
      job.gpus.map((uuid) => ({ uuid, memory_mb: job.spec.gpus?.memory_mb ?? null })),
    );
    return {
      ...{ node: node.name, engine: `engine of ${node.name}`, labels: node.labels, region: node.region },
      ...{ datacenter: node.datacenter, gpus: node.gpus, gpu_holds, drained: node.drained, classes: node.classes },
      capacity: { centicpus: cents(node.cpus), memory_mb: node.memory, gpus: node.gpus.length },
      reserved: {
        centicpus: running.reduce((sum, job) => sum + cents(job.spec.cpus), 0),
        memory_mb: running.reduce((sum, job) => sum + job.spec.memory_mb, 0),
        gpus: new Set(gpu_holds.map(({ uuid }) => uuid)).size,
      },
      reservation: node.kept ? { job_id: node.kept.job, at: node.kept.at, left: node.kept.left } : undefined,
    };
  }),
  quotas: world.quotas,
  tallies: toTallies(world),
  sharing: {
    cluster: total(world),
    half_life_ms: HALF_LIFE_MS,
    weights: world.weights,
    durations: world.learned,
  },
});

/** Of which everything may be changed; specs are never changed, but put in place of others. */
export const copy = (world: OracleWorld): OracleWorld => ({
  ...world,
  jobs: world.jobs.map((job) => ({ ...job })),
  nodes: world.nodes.map((node) => ({ ...node, kept: node.kept && { ...node.kept, left: { ...node.kept.left } } })),
  quotas: { ...world.quotas },
  use: { ...world.use },
});

const lower = (spec: PlacementSpec, { field, to }: Extract<Change, { kind: 'lower' }>): PlacementSpec => {
  if (field === 'gpus.count') return { ...spec, gpus: { type: 'any', ...spec.gpus, count: to } };
  if (field === 'gpus.memory_mb') return { ...spec, gpus: { type: 'any', count: 1, ...spec.gpus, memory_mb: to } };
  return { ...spec, [field]: to };
};

const changeLabel = (spec: PlacementSpec, label: string, to: string | null): PlacementSpec => {
  const others = Object.entries(spec.node_selector ?? {}).filter(([name]) => name !== label);
  return { ...spec, node_selector: Object.fromEntries(to === null ? others : [...others, [label, to]]) };
};

const changeSpec = (spec: PlacementSpec, change: Change): PlacementSpec => {
  const { eligible_regions: regions = [], eligible_datacenters: centers = [], gpus } = spec;
  if (change.kind === 'lower') return lower(spec, change);
  if (change.kind === 'change_label') return changeLabel(spec, change.label, change.to);
  if (change.kind === 'add_region') return { ...spec, eligible_regions: [...regions, change.add] };
  if (change.kind === 'add_datacenter') return { ...spec, eligible_datacenters: [...centers, change.add] };
  if (change.kind === 'change_gpu_type' && gpus) return { ...spec, gpus: { ...gpus, type: change.to } };
  throw new Error(`${change.kind} is not about the spec`);
};

const applyOne = (world: OracleWorld, job: OracleJob, change: Change): void => {
  if (change.kind === 'release_hold') job.held = false;
  else if (change.kind === 'raise_priority') job.priority = change.to;
  else if (change.kind === 'resume_node') {
    world.nodes = world.nodes.map((node) => (node.name === change.node ? { ...node, drained: false } : node));
  } else if (change.kind === 'raise_quota') {
    const own = world.quotas[change.group] ?? world.quotas[change.group.replace(/^user\/[^/]+/, 'user/*')];
    world.quotas[change.group] = { ...own, [change.limit]: change.to };
  } else {
    job.spec = changeSpec(job.spec, change);
    job.created = world.at;
  }
};

/** The world in which somebody has done all of these. A job of another spec has been cancelled and submitted anew. */
export const applyAll = (world: OracleWorld, job_id: string, changes: Change[]): OracleWorld => {
  const next = copy(world);
  const job = next.jobs.find(({ id }) => id === job_id);
  if (!job) throw new Error(`no job ${job_id}`);
  for (const change of changes) applyOne(next, job, change);
  return next;
};
