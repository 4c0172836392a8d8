import { type Container, crashEngine, removeContainer, signalContainer } from './engine.js';
import { goOn, kill, type Process, spawn, stop } from './process.js';
import type { Worker } from './worker/hold.js';
import { shutDown } from './worker/worker.js';
import type { Cut, Machine, World } from './world.js';

/** What faults are done to. */
export interface Target {
  world: World;
  machine: Machine;
  /** A living one of the machine, if there is any. */
  worker: Worker | undefined;
  /** No fault lasts longer than this. */
  heal_at: number;
  /** A process has ended: its supervisor starts another one. */
  exited: (machine: Machine, process: Process) => void;
}

const SECOND = 1_000;

const crash = ({ world, machine, worker, exited }: Target): void => {
  if (!worker?.process.alive) return;
  world.note(() => `${worker.process.name} crashes`);
  kill(worker.process);
  exited(machine, worker.process);
};

const until = ({ world, heal_at }: Target, ms: number): number => Math.min(world.agenda.now + ms, heal_at);

const standStill = (target: Target): void => {
  const { world, worker } = target;
  if (!worker?.process.alive || worker.process.stopped) return;
  const ms = world.random.between(1, 60) * SECOND;
  world.note(() => `${worker.process.name} is stopped for ${ms} ms`);
  stop(worker.process);
  world.agenda.at(until(target, ms), () => {
    world.note(() => `${worker.process.name} goes on`);
    goOn(worker.process);
  });
};

const atStep = (target: Target, strike: (target: Target) => void): void => {
  const { world, worker } = target;
  if (worker) worker.process.hazard = { steps: world.random.between(1, 25), strike: () => strike(target) };
};

const end = ({ world, machine, worker, exited }: Target, mode: 'leave' | 'kill'): void => {
  if (!worker?.accepting) return;
  world.note(() => `${worker.process.name} is told to end: ${mode}`);
  spawn(
    worker.process,
    shutDown(worker, mode, (process) => exited(machine, process)),
  );
};

const engineDown = (target: Target, ms: number): void => {
  const { world, machine } = target;
  if (machine.engine.up_since === undefined) return;
  world.note(() => `the engine of ${machine.name} crashes for ${ms} ms`);
  crashEngine(world, machine.engine);
  world.agenda.at(until(target, ms), () => {
    machine.engine.up_since = world.agenda.now;
  });
};

const reaperDown = (target: Target, ms: number): void => {
  target.machine.reaper_since = undefined;
  target.world.agenda.at(until(target, ms), () => {
    target.machine.reaper_since = target.world.agenda.now;
  });
};

const machineDown = (target: Target): void => {
  const { world, machine, exited } = target;
  const ms = world.random.between(5, 60) * SECOND;
  engineDown(target, ms);
  reaperDown(target, ms);
  for (const process of machine.processes) {
    kill(process);
    exited(machine, process);
  }
};

const toCut = (target: Target, replies_only: boolean): Cut => {
  const { random } = target.world;
  const ms = random.chance(0.5) ? random.between(1, 20) : random.between(20, 120);
  return { until: until(target, ms * SECOND), replies_only };
};

const pickRunning = ({ world, machine }: Target): Container | undefined => {
  const running = [...machine.engine.containers.values()].filter((one) => one.state === 'running');
  return running.length > 0 ? world.random.pick(running) : undefined;
};

const killOutside = (target: Target): void => {
  const { world, machine } = target;
  const container = pickRunning(target);
  if (!container || machine.engine.up_since === undefined) return;
  signalContainer(world, machine.engine, { id: container.id, signal: 9, sender: 'outsider', why: 'outside' });
};

const removeOutside = (target: Target): void => {
  const { world, machine } = target;
  const container = pickRunning(target);
  if (!container || machine.engine.up_since === undefined) return;
  // Whoever adopts it before the start was noted cannot know that it was ever there.
  if (world.record.jobs.get(container.job.id)?.started_at === undefined) container.job.excused_starts += 1;
  // By force: the engine kills it first.
  signalContainer(world, machine.engine, { id: container.id, signal: 9, sender: 'outsider', why: 'outside' });
  removeContainer(world, machine.engine, { id: container.id, force: true, why: 'outside' });
};

/** One trouble seldom comes alone: the network fails, and soon afterwards a worker of the machine goes too. */
const cutOffAnd = (target: Target, then: (target: Target) => void): void => {
  const { world, machine } = target;
  machine.cut = { until: until(target, world.random.between(25, 60) * SECOND), replies_only: world.random.chance(0.2) };
  world.agenda.after(world.random.between(0, 20_000), () => then(target));
};

const crashAndCutOff = (target: Target): void => {
  const { world, machine } = target;
  crash(target);
  world.agenda.after(world.random.between(0, 4_000), () => {
    machine.cut = { until: until(target, world.random.between(25, 60) * SECOND), replies_only: false };
  });
};

/** Nothing of these may cost a job an epoch. */
export const HARMLESS = ['record froze', 'message delivered twice', 'messages lost', 'reaper crashed'];

export const FAULTS: Record<string, (target: Target) => void> = {
  'worker crashed': crash,
  'worker crashed between two steps': (target) => atStep(target, crash),
  'worker stopped': standStill,
  'worker stopped between two steps': (target) => atStep(target, standStill),
  'worker told to end': (target) => end(target, 'leave'),
  'worker told to kill': (target) => end(target, 'kill'),
  'engine crashed': (target) => engineDown(target, target.world.random.between(1, 20) * SECOND),
  'machine lost its power': machineDown,
  'engine answers badly': (target) => {
    target.machine.engine.flaky_until = until(target, target.world.random.between(3, 20) * SECOND);
  },
  'reaper crashed': (target) => reaperDown(target, target.world.random.between(200, 3_000)),
  'machine cut off': (target) => {
    target.machine.cut = toCut(target, false);
  },
  'machine hears nothing': (target) => {
    target.machine.cut = toCut(target, true);
  },
  'machine cut off, and a worker crashed': (target) => cutOffAnd(target, crash),
  'worker crashed, and its machine cut off': crashAndCutOff,
  'machine cut off, and a worker told to end': (target) => cutOffAnd(target, (after) => end(after, 'leave')),
  'worker cut off': (target) => {
    if (target.worker) target.worker.link.cut = toCut(target, target.world.random.chance(0.3));
  },
  'record froze': (target) => {
    const ms = target.world.random.between(1, 45) * SECOND;
    target.world.frozen_until = Math.max(target.world.frozen_until, until(target, ms));
  },
  'container killed from outside': killOutside,
  'container removed from outside': removeOutside,
  'message delivered twice': ({ world }) => {
    const ids = [...world.jobs.keys()];
    if (ids.length > 0) world.queue.push(`${world.random.pick(ids)}-${world.random.between(1, 2)}`);
  },
  'messages lost': ({ world }) => {
    world.queue.length = 0;
  },
};
