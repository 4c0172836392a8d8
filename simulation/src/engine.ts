import { checkDeadline, checkPause } from './invariants.js';
import type { Wait } from './process.js';
import type { SimJob, World } from './world.js';

export interface Container {
  id: number;
  name: string;
  job: SimJob;
  epoch: number;
  attempt: number;
  deadline_ms: number;
  state: 'created' | 'running' | 'exited';
  paused: boolean;
  started_at: number | undefined;
  finished_at: number;
  exit_code: number;
  /** For how long it has run without its pauses, up to `ran_since`. */
  ran_ms: number;
  ran_since: number;
  /** Grows with each start, pause and end: what was planned before does not count any more. */
  turn: number;
  oom_kills: number;
  died_with_engine: boolean;
  /** Deadly signals that came through the engine, and from whom. The engine forgets them when it dies. */
  signals: { signal: number; sender: string }[];
  /** By whom it really ended, which no part of Berth can see. */
  ended_by: string;
  removed_by: string;
  /** The engine forgot who sent it a signal. */
  forgotten: boolean;
  /** Someone who started it stood still between the last look and the start, which no rule can prevent. */
  zombie: boolean;
  watchers: Set<() => void>;
}

export interface ContainerView {
  id: number;
  job_id: string;
  epoch: number;
  state: Container['state'];
  paused: boolean;
  deadline_ms: number;
  started_at: number | undefined;
}

export const UNREACHABLE = 'unreachable';
export type Unreachable = typeof UNREACHABLE;

export interface Engine {
  name: string;
  up_since: number | undefined;
  flaky_until: number;
  containers: Map<number, Container>;
}

let lastId = 0;

export const createEngine = (name: string): Engine => ({ name, up_since: 0, flaky_until: 0, containers: new Map() });

const toDelay = ({ noisy, random }: World): number =>
  noisy && random.chance(0.02) ? random.between(100, 2_000) : random.between(1, 30);

const isLost = ({ noisy, random, agenda }: World, engine: Engine): boolean =>
  noisy && random.chance(engine.flaky_until > agenda.now ? 0.25 : 0.002);

/** Asks the engine; the answer may be lost whether or not the engine did as it was asked. */
export const callEngine =
  <T>(world: World, engine: Engine, run: () => T): Wait<T | Unreachable> =>
  (resume) => {
    const { agenda, random } = world;
    agenda.after(toDelay(world), () => {
      if (engine.up_since === undefined) {
        agenda.after(20, () => resume(UNREACHABLE));
        return;
      }
      const lost = isLost(world, engine);
      if (lost) world.tally('answer of the engine lost');
      const value = lost && random.chance(0.5) ? UNREACHABLE : run();
      agenda.after(lost ? 1_000 : random.between(1, 10), () => resume(lost ? UNREACHABLE : value));
    });
  };

const toView = (one: Container): ContainerView => ({
  id: one.id,
  job_id: one.job.id,
  epoch: one.epoch,
  state: one.state,
  paused: one.paused,
  deadline_ms: one.deadline_ms,
  started_at: one.started_at,
});

export const listContainers = (engine: Engine, job_id?: string): ContainerView[] => {
  const views: ContainerView[] = [];
  for (const one of engine.containers.values()) if (!job_id || one.job.id === job_id) views.push(toView(one));
  return views;
};

export interface CreateOptions {
  job: SimJob;
  epoch: number;
  attempt: number;
  deadline_ms: number;
}

export const createContainer = (engine: Engine, options: CreateOptions): ContainerView | 'taken' => {
  const name = `berth-${options.job.id}-e${options.epoch}`;
  for (const one of engine.containers.values()) if (one.name === name) return 'taken';
  const container: Container = {
    ...options,
    id: ++lastId,
    name,
    state: 'created',
    paused: false,
    started_at: undefined,
    finished_at: 0,
    exit_code: 0,
    ran_ms: 0,
    ran_since: 0,
    turn: 0,
    oom_kills: 0,
    died_with_engine: false,
    signals: [],
    ended_by: '',
    removed_by: '',
    forgotten: false,
    zombie: false,
    watchers: new Set(),
  };
  engine.containers.set(container.id, container);
  options.job.containers.push(container);
  return toView(container);
};

export const isActive = (one: Container): boolean => one.state === 'running' && !one.paused;

const noteActive = (world: World, container: Container): void => {
  const { job } = container;
  for (const machine of world.machines) {
    for (const other of machine.engine.containers.values()) {
      if (other.job !== job || other === container || !isActive(other)) continue;
      if (container.zombie || other.zombie) world.tally('accepted: a worker stopped right before a start');
      else world.fail('I4', `${job.id}: epochs ${other.epoch} and ${container.epoch} run at the same time`);
    }
  }
};

/** Wakes whoever waits for a change of the container, as the engine's stream of events does. */
const tell = (world: World, container: Container): void => {
  const watchers = [...container.watchers];
  container.watchers.clear();
  world.agenda.after(5, () => {
    for (const watcher of watchers) watcher();
  });
};

const endContainer = (
  world: World,
  container: Container,
  end: { exit_code: number; by: string; ran_on?: boolean },
): void => {
  const { agenda } = world;
  if (isActive(container)) container.ran_ms += agenda.now - container.ran_since;
  container.state = 'exited';
  container.paused = false;
  container.exit_code = end.exit_code;
  container.ended_by = end.by;
  container.finished_at = agenda.now;
  container.turn += 1;
  world.note(() => `${container.name} ended with ${end.exit_code} by ${end.by}`);
  tell(world, container);
};

const goOn = (world: World, container: Container): void => {
  const { job, attempt } = container;
  const { program } = job;
  container.ran_since = world.agenda.now;
  container.turn += 1;
  const { turn } = container;
  noteActive(world, container);
  world.agenda.after(Math.max(0, program.duration_ms - container.ran_ms), () => {
    if (container.turn !== turn) return;
    const fails = attempt <= program.fails_first;
    if (program.memory !== 'enough') container.oom_kills = 1;
    const killed = program.memory === 'killed';
    endContainer(world, container, { exit_code: killed ? 137 : fails ? 1 : program.exit_code, by: 'program' });
  });
};

const takeDown = (world: World, engine: Engine, container: Container): void => {
  world.agenda.after(world.random.between(50, 1_500), () => {
    if (!isActive(container)) return;
    world.tally('fault: a job took its engine down');
    crashEngine(world, engine);
    world.agenda.after(2_000, () => {
      engine.up_since ??= world.agenda.now;
    });
  });
};

export type StartReply = 'started' | 'already' | 'missing' | 'failed';

export const startContainer = (world: World, engine: Engine, by: { id: number; zombie: boolean }): StartReply => {
  const container = engine.containers.get(by.id);
  if (!container) return 'missing';
  if (container.state === 'running') return 'already';
  const { job } = container;
  if (job.program.kind === 'start_failed') return 'failed';
  job.starts += 1;
  world.note(() => `${container.name} started on ${engine.name} (start ${job.starts} of ${job.id})`);
  if (container.state === 'exited') world.fail('I5', `${container.name} was started again after its end`);
  container.state = 'running';
  container.zombie ||= by.zombie;
  container.started_at = world.agenda.now;
  container.ran_ms = 0;
  checkDeadline(world, engine, container);
  if (job.program.deadly) takeDown(world, engine, container);
  goOn(world, container);
  return 'started';
};

export const pauseContainer = (world: World, engine: Engine, id: number): boolean => {
  const container = engine.containers.get(id);
  if (!(container && isActive(container))) return false;
  container.ran_ms += world.agenda.now - container.ran_since;
  container.paused = true;
  container.turn += 1;
  world.note(() => `${container.name} paused`);
  checkPause(world, engine, container);
  return true;
};

export const unpauseContainer = (world: World, engine: Engine, id: number): boolean => {
  const container = engine.containers.get(id);
  if (!(container?.paused && container.state === 'running')) return false;
  container.paused = false;
  world.note(() => `${container.name} unpaused`);
  goOn(world, container);
  return true;
};

/** TERM waits for a paused container to go on, so here it does nothing to it; KILL does not wait. */
export const signalContainer = (
  world: World,
  engine: Engine,
  by: { id: number; signal: 9 | 15; sender: string; why: string },
): void => {
  const container = engine.containers.get(by.id);
  if (container?.state !== 'running') return;
  container.signals.push({ signal: by.signal, sender: by.sender });
  if (by.signal === 9) endContainer(world, container, { exit_code: 137, by: by.why });
  else if (!(container.paused || container.job.program.ignores_term)) {
    endContainer(world, container, { exit_code: 143, by: by.why });
  }
};

export const removeContainer = (
  world: World,
  engine: Engine,
  by: { id: number; force: boolean; why: string },
): 'removed' | 'missing' | 'running' => {
  const container = engine.containers.get(by.id);
  if (!container) return 'missing';
  if (container.state === 'running') {
    if (!by.force) return 'running';
    endContainer(world, container, { exit_code: 137, by: `removed: ${by.why}` });
  }
  // Its worker's start was on its way when it was seen as created, and the program had ended by itself when it was removed without force.
  if (by.why === 'adopted before its start' && !by.force && container.ended_by === 'program') {
    world.tally('accepted: a program that ended between the look and the removal');
    container.job.excused_starts += 1;
  }
  engine.containers.delete(by.id);
  container.removed_by = by.why;
  world.note(() => `${container.name} removed: ${by.why}`);
  return 'removed';
};

/** No container survives its engine, and the engine does not remember who sent what. */
export const crashEngine = (world: World, engine: Engine): void => {
  engine.up_since = undefined;
  for (const container of engine.containers.values()) {
    container.forgotten ||= container.signals.length > 0;
    container.signals = [];
    if (container.state !== 'running') continue;
    container.died_with_engine = true;
    endContainer(world, container, { exit_code: 137, by: 'engine' });
  }
};
