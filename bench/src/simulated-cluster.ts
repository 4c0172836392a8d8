import {
  addUse,
  type Bucket,
  DEFAULT_CLASSES,
  DEFAULT_HALF_LIFE_SECONDS,
  findTurns,
  fits,
  type Head,
  learnDuration,
  listCandidates,
  type MachineView,
  minus,
  NO_RESOURCES,
  NO_USE,
  type Picked,
  pick,
  planReservations,
  plus,
  type Resources,
  toCharge,
  toCorrection,
  toDominantShare,
  toQueueScore,
} from '@berth/domain';
import type { SimulatedJob, Workload } from './simulated-jobs.js';

const PRIORITY = 50;
const HALF_LIFE_MS = DEFAULT_HALF_LIFE_SECONDS * 1_000;
/** As the API plans: so many of the first jobs of each class. */
const HEADS = 8;
const GRACE_MS = 10_000;

interface Running {
  job: SimulatedJob;
  engine: string;
  gpu_uuids: string[];
  began_at: number;
  ends_at: number;
  charged: number;
  share: number;
}

/** All that the record and the machines hold, in virtual time. */
interface World {
  at: number;
  jobs: Map<string, SimulatedJob>;
  buckets: Record<string, Bucket[]>;
  machines: MachineView[];
  running: Running[];
  cluster: Resources;
  durations: Map<string, number>;
}

const submit = (world: World, job: SimulatedJob): void => {
  const buckets = world.buckets[job.class] ?? [];
  world.buckets[job.class] = buckets;
  let bucket = buckets.find(({ user }) => user === job.user);
  if (!bucket) {
    const rank =
      Object.values(world.buckets)
        .flat()
        .find(({ user }) => user === job.user)?.rank ?? NO_USE;
    bucket = { user: job.user, rank, queues: [] };
    buckets.push(bucket);
  }
  let queue = bucket.queues.find(({ text }) => text === job.text);
  if (!queue) {
    queue = { text: job.text, shape: job.shape, jobs: [] };
    bucket.queues.push(queue);
  }
  queue.jobs.push({ job_id: job.job_id, score: toQueueScore(PRIORITY, job.submitted_at) });
};

const charge = (world: World, user: string, amount: number): void => {
  for (const bucket of Object.values(world.buckets).flat()) {
    if (bucket.user === user) bucket.rank = addUse(bucket.rank, amount, world.at, HALF_LIFE_MS);
  }
};

const toFieldName = ({ user, class: name }: SimulatedJob): string => `${user}|${name}`;

/** What a claim does. */
const begin = (world: World, machine: MachineView, picked: Picked): void => {
  const job = world.jobs.get(picked.job_id) as SimulatedJob;
  for (const { queues } of world.buckets[job.class] ?? []) {
    for (const queue of queues) if (queue.jobs[0]?.job_id === job.job_id) queue.jobs.shift();
  }
  const { ask, timeout_seconds } = job.shape;
  const share = toDominantShare(ask, world.cluster);
  const charged = toCharge(share, world.durations.get(toFieldName(job)), timeout_seconds);
  charge(world, job.user, charged);
  machine.reserved = plus(machine.reserved, ask);
  machine.gpu_holds = [...machine.gpu_holds, ...picked.gpu_uuids.map((uuid) => ({ uuid, memory_mb: null }))];
  const { reservation } = machine;
  if (reservation?.job_id === job.job_id) machine.reservation = undefined;
  else if (reservation && picked.takes_left)
    machine.reservation = { ...reservation, left: minus(reservation.left, ask) };
  world.running.push({
    ...{ job, engine: machine.engine, gpu_uuids: picked.gpu_uuids, charged, share },
    ...{ began_at: world.at, ends_at: world.at + job.lasts_ms },
  });
};

/** What a settlement does. */
const end = (world: World, { job, engine, gpu_uuids, charged, share }: Running): void => {
  const machine = world.machines.find((one) => one.engine === engine) as MachineView;
  machine.reserved = minus(machine.reserved, job.shape.ask);
  machine.gpu_holds = machine.gpu_holds.filter(({ uuid }) => !gpu_uuids.includes(uuid));
  charge(world, job.user, toCorrection({ share, charged }, job.lasts_ms, HALF_LIFE_MS));
  world.durations.set(toFieldName(job), learnDuration(world.durations.get(toFieldName(job)), job.lasts_ms));
};

/** Without what the machine has no room for, which a pick would pass over: most of the time that is nearly all. */
const toFitting = (buckets: readonly Bucket[], { capacity, reserved }: MachineView): Bucket[] => {
  const free = minus(capacity, reserved);
  return buckets.flatMap((bucket) => {
    const queues = bucket.queues.filter(({ jobs, shape }) => jobs.length > 0 && fits(shape.ask, free));
    return queues.length > 0 ? [{ ...bucket, queues }] : [];
  });
};

const drawOne = (world: World, machine: MachineView, name: string): boolean => {
  const fitting = toFitting(world.buckets[name] ?? [], machine);
  if (fitting.length === 0) return false;
  const snapshot = { at: world.at, quotas: {}, tallies: {}, buckets: { [name]: fitting }, machines: world.machines };
  const picked = pick(snapshot, name, machine);
  if (picked) begin(world, machine, picked);
  return picked !== undefined;
};

/** Machines and classes take turns, a job each, until no machine finds anything more. */
const draw = (world: World): void => {
  let askers = world.machines.flatMap((machine) => DEFAULT_CLASSES.map(({ name }) => ({ machine, name })));
  while (askers.length > 0) askers = askers.filter(({ machine, name }) => drawOne(world, machine, name));
};

const toHeads = (world: World): Head[][] =>
  DEFAULT_CLASSES.map(({ name }) =>
    listCandidates(world, name)
      .slice(0, HEADS)
      .map((job) => ({
        ...job,
        priority: PRIORITY,
        created_at: world.jobs.get(job.job_id)?.submitted_at ?? 0,
        rank: world.buckets[name]?.find(({ user }) => user === job.bucket)?.rank ?? NO_USE,
      })),
  );

/** What the API does once a second; here, whenever something has changed. True where a machine is free for others again. */
const plan = (world: World): boolean => {
  const machines = world.machines.map((machine) => ({
    ...machine,
    endings: world.running
      .filter(({ engine }) => engine === machine.engine)
      .map(({ job, gpu_uuids, began_at }) => ({
        job_id: job.job_id,
        ask: job.shape.ask,
        gpu_holds: gpu_uuids.map((uuid) => ({ uuid, memory_mb: null })),
        ends_at: began_at + job.shape.timeout_seconds * 1_000 + GRACE_MS,
      })),
  }));
  const planned = planReservations(findTurns(toHeads(world), machines), machines, world.at);
  let is_freed = false;
  for (const machine of world.machines) {
    const { engine: _, ...reservation } = planned.find(({ engine }) => engine === machine.engine) ?? { engine: '' };
    const next = 'job_id' in reservation ? reservation : undefined;
    is_freed ||= machine.reservation !== undefined && machine.reservation.job_id !== next?.job_id;
    machine.reservation = next;
  }
  return is_freed;
};

const settle = (world: World): void => {
  draw(world);
  for (let tries = 0; tries < 5 && plan(world); tries += 1) draw(world);
};

/** Runs a workload by the decisions that `claim.lua` and the planner make. Returns when the last job has ended, in virtual milliseconds. */
export const runWorkload = ({ jobs, machines }: Workload): number => {
  const world: World = {
    ...{ at: 0, buckets: {}, running: [], durations: new Map() },
    jobs: new Map(jobs.map((job) => [job.job_id, job])),
    machines: machines.map((machine) => ({ ...machine })),
    cluster: machines.map(({ capacity }) => capacity).reduce(plus, NO_RESOURCES),
  };
  const waiting = [...jobs].sort((a, b) => a.submitted_at - b.submitted_at);
  for (;;) {
    const next = Math.min(waiting[0]?.submitted_at ?? Infinity, ...world.running.map(({ ends_at }) => ends_at));
    if (next === Infinity) break;
    world.at = next;
    const ended = world.running.filter(({ ends_at }) => ends_at <= next);
    world.running = world.running.filter(({ ends_at }) => ends_at > next);
    for (const one of ended) end(world, one);
    while (waiting[0] && waiting[0].submitted_at <= next) submit(world, waiting.shift() as SimulatedJob);
    settle(world);
  }
  const queues = Object.values(world.buckets).flatMap((buckets) => buckets.flatMap((bucket) => bucket.queues));
  if (queues.some((queue) => queue.jobs.length > 0)) throw new Error('a job never ran');
  return world.at;
};
