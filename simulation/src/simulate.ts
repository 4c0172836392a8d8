import { type EventType, isTerminal } from '@berth/domain';
import { createAgenda } from './agenda.js';
import { acceptJob, cancelJob, startApi } from './api.js';
import { createEngine } from './engine.js';
import { FAULTS, HARMLESS } from './faults.js';
import { checkEvent, checkRest, checkRoom, checkTickets } from './invariants.js';
import type { Mutation } from './mutations.js';
import { goOn, type Process } from './process.js';
import { createRandom } from './random.js';
import { startReaper } from './reaper.js';
import { createRecord, type JobModel } from './record/record-model.js';
import { toJob } from './scenario.js';
import type { Worker } from './worker/hold.js';
import { hear, startWorker } from './worker/worker.js';
import type { Machine, World } from './world.js';

interface Violation {
  invariant: string;
  detail: string;
  at: number;
}

export interface Run {
  seed: number;
  violations: Violation[];
  trace: string[];
}

export interface RunOptions {
  mutation?: Mutation | undefined;
  trace?: boolean;
  /** Counts are added to it. */
  coverage?: Map<string, number>;
}

const SECOND = 1_000;
const REST_LIMIT_MS = 900 * SECOND;

/** The machines, their workers and what supervises them. */
interface Cluster {
  world: World;
  workers: Map<Process, Worker>;
  heal_at: number;
  born: number;
}

const createMachine = (name: string): Machine => ({
  name,
  engine: createEngine(name),
  capacity: { centicpus: 400, memory_mb: 1_000, gpus: 0 },
  processes: new Set(),
  cut: undefined,
  lease: undefined,
  reaper_since: 0,
});

const open = (cluster: Cluster, machine: Machine): void => {
  cluster.born += 1;
  const worker = startWorker(cluster.world, machine, `${machine.name}${cluster.born}`);
  cluster.workers.set(worker.process, worker);
};

/** Supervised: what has ended is started again, soon or, as in an upgrade, a while later. */
const reopen = (cluster: Cluster, machine: Machine, process: Process): void => {
  const { world } = cluster;
  machine.processes.delete(process);
  cluster.workers.delete(process);
  const ms = world.random.chance(0.6) ? world.random.between(200, 4_000) : world.random.between(5_000, 60_000);
  const at = Math.min(world.agenda.now + ms, Math.max(cluster.heal_at, world.agenda.now + SECOND));
  world.agenda.at(at, () => open(cluster, machine));
};

const openWorld = (seed: number, options: RunOptions, run: Run): World => {
  const agenda = createAgenda();
  const record = createRecord(options.mutation);
  const random = createRandom(seed);
  const world: World = {
    agenda,
    random,
    record,
    machines: (random.chance(0.8) ? ['A', 'B'] : ['A']).map(createMachine),
    jobs: new Map(),
    queue: [],
    mutation: options.mutation,
    noisy: false,
    calm: false,
    harmless: false,
    frozen_until: 0,
    publish: () => {},
    tally: (what) => options.coverage?.set(what, (options.coverage.get(what) ?? 0) + 1),
    note: (line) => {
      if (options.trace) run.trace.push(`${(agenda.now / SECOND).toFixed(3).padStart(8)} ${line()}`);
    },
    fail: (invariant, detail) => {
      run.violations.push({ invariant, detail, at: agenda.now });
      world.note(() => `VIOLATION ${invariant}: ${detail}`);
    },
  };
  record.onEvent = (job: JobModel, type: EventType) => {
    world.tally(`event: ${type}`);
    world.note(() => `${job.id} ${type} (e${job.epoch}, ${job.owner ?? 'nobody'})`);
    checkEvent(world, job, type);
  };
  return world;
};

const FAULT_NAMES = Object.keys(FAULTS);

const planFault = (cluster: Cluster, at: number, name: string): void => {
  const { world, heal_at } = cluster;
  world.agenda.at(at, () => {
    const machine = world.random.pick(world.machines);
    const processes = [...machine.processes];
    const process = processes.length > 0 ? world.random.pick(processes) : undefined;
    const worker = process ? cluster.workers.get(process) : undefined;
    world.tally(`fault: ${name}`);
    world.note(() => `fault: ${name} (${machine.name})`);
    const exited = (from: Machine, ended: Process) => reopen(cluster, from, ended);
    FAULTS[name]?.({ world, machine, worker, heal_at, exited });
  });
};

const heal = ({ world }: Cluster): void => {
  world.noisy = false;
  world.frozen_until = 0;
  for (const machine of world.machines) {
    machine.cut = undefined;
    machine.engine.up_since ??= world.agenda.now;
    machine.engine.flaky_until = 0;
    machine.reaper_since ??= world.agenda.now;
    for (const process of machine.processes) {
      process.hazard = undefined;
      if (process.stopped) goOn(process);
    }
  }
  world.note(() => 'all faults are over');
};

/** Mostly a few faults of all kinds; sometimes the same few again and again. */
const toKinds = ({ random, harmless }: World): { kinds: string[]; most: number } => {
  if (harmless) return { kinds: HARMLESS, most: 8 };
  if (random.chance(0.8)) return { kinds: FAULT_NAMES, most: 8 };
  return { kinds: [random.pick(FAULT_NAMES), random.pick(FAULT_NAMES)], most: 16 };
};

const plan = (cluster: Cluster): void => {
  const { world } = cluster;
  const { random, agenda } = world;
  world.calm = random.chance(0.08);
  world.harmless = !world.calm && random.chance(0.08);
  for (const machine of world.machines) for (let i = random.between(1, 3); i > 0; i--) open(cluster, machine);
  for (const machine of world.machines) startReaper(world, machine);
  startApi(world);
  for (let i = random.between(3, 7); i > 0; i--) {
    const job = toJob(random, `j${i}`, world.calm || world.harmless);
    agenda.at(random.between(0, 25) * SECOND, () => {
      world.jobs.set(job.id, job);
      acceptJob(world, job);
    });
    if (random.chance(0.2)) agenda.at(random.between(1, 80_000), () => cancelJob(world, job));
  }
  if (world.calm) return;
  const last = random.between(10, random.chance(0.3) ? 70 : 35) * SECOND;
  cluster.heal_at = last + random.between(5, random.chance(0.3) ? 60 : 30) * SECOND;
  agenda.at(2_500, () => {
    world.noisy = !world.harmless && random.chance(0.8);
  });
  const { kinds, most } = toKinds(world);
  for (let i = random.between(1, most); i > 0; i--) planFault(cluster, random.between(3_000, last), random.pick(kinds));
  agenda.at(cluster.heal_at, () => heal(cluster));
};

const isAtRest = ({ record, jobs, machines, agenda }: World): boolean => {
  if (agenda.now < 26 * SECOND) return false;
  for (const id of jobs.keys()) if (!isTerminal(record.jobs.get(id)?.state ?? 'pending')) return false;
  return machines.every(({ engine }) => engine.containers.size === 0);
};

const tallyEnds = ({ record, jobs, tally }: World): void => {
  for (const id of jobs.keys()) {
    const job = record.jobs.get(id);
    if (job && isTerminal(job.state)) tally(`end: ${job.cause || 'completed'}`);
    for (const { cause } of job?.attempts ?? []) tally(`attempt: ${cause || 'completed'}`);
  }
};

/** One run of a whole small installation, from its first job until it rests, with the chance and the faults that the seed gives. */
export const simulate = (seed: number, options: RunOptions = {}): Run => {
  const run: Run = { seed, violations: [], trace: [] };
  const world = openWorld(seed, options, run);
  const cluster: Cluster = { world, workers: new Map(), heal_at: 0, born: 0 };
  world.publish = (name, word) => {
    world.agenda.after(3, () => {
      for (const worker of cluster.workers.values()) if (worker.machine.name === name) hear(worker, word);
    });
  };
  plan(cluster);
  let rested = false;
  const look = (): void => {
    checkRoom(world);
    checkTickets(world);
    rested = world.agenda.now >= cluster.heal_at && isAtRest(world);
    world.agenda.after(SECOND, look);
  };
  look();
  while (!rested && run.violations.length === 0 && world.agenda.now < cluster.heal_at + REST_LIMIT_MS) {
    world.agenda.step();
  }
  if (run.violations.length === 0) {
    checkRest(world);
    tallyEnds(world);
  }
  return run;
};
