import type { Constraint, Quota } from '@berth/domain';
import {
  classNameOf,
  classOf,
  copy,
  isWaiting,
  type OracleJob,
  type OracleNode,
  type OracleWorld,
  runsOn,
  total,
} from './oracle-world.js';

const cents = (cpus: number): number => Math.round(cpus * 100);

const isCalled = (name: string, type: string): boolean => {
  const words = [name.toLowerCase(), ...name.toLowerCase().split(/[^a-z0-9]+/)];
  return type.toLowerCase() === 'any' || words.includes(type.toLowerCase());
};

/** GPUs of a node of the asked type, and how much of each is left where these run. */
const gpusFor = ({ spec: { gpus: ask } }: OracleJob, node: OracleNode, running: OracleJob[]) => {
  if (!ask) return [];
  const all = node.gpus
    .filter(({ name }) => isCalled(name, ask.type))
    .map((gpu) => {
      const holders = running.filter((other) => other.gpus.includes(gpu.uuid));
      const held = holders.map((other) => other.spec.gpus?.memory_mb ?? gpu.memory_mb);
      return { ...gpu, isHeld: holders.length > 0, left: held.reduce((left, mb) => left - mb, gpu.memory_mb) };
    });
  const { memory_mb } = ask;
  return all
    .filter(({ isHeld, left }) => (memory_mb === undefined ? !isHeld : left >= memory_mb))
    .sort((a, b) => a.left - b.left || a.index - b.index);
};

const passes = (world: OracleWorld, job: OracleJob, node: OracleNode): boolean => {
  const { kept } = node;
  if (!kept || kept.job === job.id) return true;
  if (world.at + job.spec.timeout_seconds * 1000 <= kept.at) return true;
  const { cpus, memory_mb, gpus } = job.spec;
  return cents(cpus) <= kept.left.centicpus && memory_mb <= kept.left.memory_mb && (gpus?.count ?? 0) <= kept.left.gpus;
};

const wrongWithPlace = ({ spec }: OracleJob, node: OracleNode): string[] => {
  const selector = Object.entries(spec.node_selector ?? {});
  const wrong = selector.filter(([label, value]) => node.labels[label] !== value).map(([label]) => `label ${label}`);
  if (spec.eligible_regions?.length && !spec.eligible_regions.includes(node.region)) wrong.push('region');
  if (spec.eligible_datacenters?.length && !spec.eligible_datacenters.includes(node.datacenter))
    wrong.push('datacenter');
  return wrong;
};

const wrongWithRoom = (world: OracleWorld, job: OracleJob, node: OracleNode): string[] => {
  const on = runsOn(world, node);
  const { cpus, memory_mb, gpus } = job.spec;
  const freeCpus = cents(node.cpus) - on.reduce((sum, other) => sum + cents(other.spec.cpus), 0);
  const freeMemory = node.memory - on.reduce((sum, other) => sum + other.spec.memory_mb, 0);
  const found = [
    { name: 'centicpus', wanted: cents(cpus), all: cents(node.cpus), free: freeCpus },
    { name: 'memory_mb', wanted: memory_mb, all: node.memory, free: freeMemory },
    {
      ...{ name: 'gpus', wanted: gpus?.count ?? 0 },
      ...{ all: gpusFor(job, node, []).length, free: gpusFor(job, node, on).length },
    },
  ].filter(({ wanted, free }) => wanted > free);
  return found.map(({ name, wanted, all }) => `${wanted > all ? 'too_small' : 'no_room'} ${name}`);
};

/** All that is wrong with a node for a job, a word for each. */
export const wrongWithNode = (world: OracleWorld, job: OracleJob, node: OracleNode): string[] => [
  ...(node.drained ? ['drained'] : []),
  ...(node.classes.includes(classNameOf(world, job)) ? [] : ['class_not_served']),
  ...wrongWithPlace(job, node),
  ...wrongWithRoom(world, job, node),
  ...(passes(world, job, node) ? [] : ['reserved']),
];

/** The same words for what the scheduler says. */
export const toWord = (one: Constraint): string => {
  if (one.kind === 'label') return `label ${one.label}`;
  return 'measure' in one ? `${one.kind} ${one.measure}` : one.kind;
};

/** Every limit that the job would exceed, as `<group> <limit>`. */
export const overQuotas = (world: OracleWorld, job: OracleJob): string[] => {
  const name = classNameOf(world, job);
  const over: string[] = [];
  const look = (group: string, quota: Quota | undefined, isOf: (other: OracleJob) => boolean): void => {
    const held = world.jobs.filter((other) => other.node !== null && isOf(other));
    const sum = (read: (one: OracleJob) => number): number => [...held, job].reduce((all, one) => all + read(one), 0);
    if (held.length + 1 > (quota?.max_running ?? Number.POSITIVE_INFINITY)) over.push(`${group} max_running`);
    if (sum(({ spec }) => cents(spec.cpus)) > cents(quota?.max_cpus ?? 1e9)) over.push(`${group} max_cpus`);
    if (sum(({ spec }) => spec.memory_mb) > (quota?.max_memory_mb ?? 1e12)) over.push(`${group} max_memory_mb`);
    if (sum(({ spec }) => spec.gpus?.count ?? 0) > (quota?.max_gpus ?? 1e9)) over.push(`${group} max_gpus`);
  };
  const { quotas } = world;
  const isOwn = (other: OracleJob): boolean => other.user === job.user;
  const isAlike = (other: OracleJob): boolean => classNameOf(world, other) === name;
  look(`user/${job.user}`, quotas[`user/${job.user}`] ?? quotas['user/*'], isOwn);
  look(`class/${name}`, quotas[`class/${name}`], isAlike);
  const both = `user/${job.user}/class/${name}`;
  look(both, quotas[both] ?? quotas[`user/*/class/${name}`], (other) => isOwn(other) && isAlike(other));
  return over;
};

/** Jobs of one kind stand in line one behind the other; those of others may pass. */
const toKind = ({ user, spec }: OracleJob): string =>
  JSON.stringify([
    ...[user, spec.cpus, spec.memory_mb, spec.timeout_seconds],
    spec.gpus ? [spec.gpus.count, spec.gpus.type.toLowerCase(), spec.gpus.memory_mb] : [],
    Object.entries(spec.node_selector ?? {}).sort(([x], [y]) => (x < y ? -1 : 1)),
    ...[[...(spec.eligible_regions ?? [])].sort(), [...(spec.eligible_datacenters ?? [])].sort()],
  ]);

const isSooner = (world: OracleWorld, a: OracleJob, b: OracleJob): number => {
  const across = classOf(world, a.spec)?.priority_across_users === true;
  const use = ({ user }: OracleJob) => (world.use[user] ?? 0) / (world.weights[user] ?? 1);
  if (!across && a.user !== b.user) return use(a) - use(b) || (a.user < b.user ? -1 : 1);
  return b.priority - a.priority || a.created - b.created;
};

const line = (world: OracleWorld, className: string): OracleJob[] => {
  const all = world.jobs.filter((job) => isWaiting(job) && classNameOf(world, job) === className);
  const first = new Map<string, OracleJob>();
  for (const job of all.sort((a, b) => isSooner(world, a, b))) {
    const kind = toKind(job);
    if (!first.has(kind)) first.set(kind, job);
  }
  return [...first.values()];
};

/** The job of a class that the node gets if it asks now. */
export const nextFor = (world: OracleWorld, className: string, node: OracleNode): OracleJob | undefined =>
  node.classes.includes(className)
    ? line(world, className).find(
        (job) => wrongWithNode(world, job, node).length === 0 && overQuotas(world, job).length === 0,
      )
    : undefined;

const start = (world: OracleWorld, job: OracleJob, node: OracleNode): void => {
  const name = classNameOf(world, job);
  const all = total(world);
  const { cpus, memory_mb, gpus, timeout_seconds } = job.spec;
  const parts = [
    cents(cpus) / all.centicpus,
    memory_mb / all.memory_mb,
    all.gpus > 0 ? (gpus?.count ?? 0) / all.gpus : 0,
  ];
  const lasts = Math.min(world.learned[`${job.user}|${name}`] ?? 60_000, timeout_seconds * 1000);
  world.use[job.user] = (world.use[job.user] ?? 0) + Math.max(...parts) * lasts;
  const isBeside = node.kept && node.kept.job !== job.id && world.at + timeout_seconds * 1000 > node.kept.at;
  if (node.kept && isBeside) {
    node.kept.left.centicpus -= cents(cpus);
    node.kept.left.memory_mb -= memory_mb;
    node.kept.left.gpus -= gpus?.count ?? 0;
  }
  if (node.kept?.job === job.id) node.kept = null;
  job.gpus = gpusFor(job, node, runsOn(world, node))
    .slice(0, gpus?.count ?? 0)
    .map(({ uuid }) => uuid);
  job.node = node.name;
};

/** Nodes ask, one after the other, until nobody gets anything. `order` sorts those who ask. */
export const settle = (world: OracleWorld, order: <T>(items: T[]) => T[]): OracleWorld => {
  const names = world.classes.map(({ name }) => name);
  const askers = order(names.flatMap((name) => world.nodes.map((node) => ({ name, node }))));
  for (let isMoving = true; isMoving; ) {
    isMoving = false;
    for (const { name, node } of askers) {
      for (let job = nextFor(world, name, node); job; job = nextFor(world, name, node)) {
        start(world, job, node);
        isMoving = true;
      }
    }
  }
  return world;
};

/** What may come next: one world for each node that gets something. */
const listNext = (world: OracleWorld) =>
  world.classes.flatMap(({ name }) =>
    world.nodes.flatMap((_, i) => {
      const next = copy(world);
      const node = next.nodes[i] as OracleNode;
      const job = nextFor(next, name, node);
      if (!job) return [];
      start(next, job, node);
      return [{ next, id: job.id }];
    }),
  );

/** Whether the job starts in whatever order nodes ask; false also where there are more ways than `most`. */
export const startsAlways = (from: OracleWorld, job_id: string, most: number): boolean => {
  const known = new Set<string>();
  const look = (world: OracleWorld): boolean => {
    const key = JSON.stringify(world.jobs.map(({ node, gpus }) => [node, gpus]));
    if (known.has(key)) return true;
    known.add(key);
    const found = known.size > most ? [] : listNext(world);
    return found.length > 0 && found.every(({ next, id }) => id === job_id || look(next));
  };
  return look(from);
};
