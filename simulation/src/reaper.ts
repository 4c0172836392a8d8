import { DEADLINE_MARGIN_MS } from '@berth/domain';
import { type Container, callEngine, pauseContainer, signalContainer } from './engine.js';
import type { Machine, World } from './world.js';

const LOOK_MS = 2_000;
/**
 * The note tells of the newest renewal on the machine. A neighbour's lease may be older by a renewal and by what it takes to adopt it, and
 * the pausing takes its time: so it begins well before the end.
 */
const FENCE_MARGIN_MS = 10_000;

const isFenced = (world: World, { lease }: Machine): boolean => {
  if (!lease?.exclusive || world.mutation === 'no_fence') return false;
  return world.agenda.now - lease.renewed_at > lease.lease_ms - FENCE_MARGIN_MS;
};

const judge = (world: World, machine: Machine, container: Container): void => {
  const { engine } = machine;
  const { id } = container;
  const overdue = world.agenda.now > container.deadline_ms + DEADLINE_MARGIN_MS;
  if (overdue && world.mutation !== 'no_deadline_from_outside') {
    const by = { id, signal: 9 as const, sender: 'reaper', why: 'deadline' };
    callEngine(world, engine, () => signalContainer(world, engine, by))(() => world.tally('reaper killed'));
  } else if (!container.paused && isFenced(world, machine)) {
    callEngine(
      world,
      engine,
      () => isFenced(world, machine) && pauseContainer(world, engine, id),
    )((done) => {
      if (done === true) world.tally('reaper paused');
    });
  }
};

/** The process that needs no record: it enforces deadlines, and stands still what no worker of its machine vouches for. */
export const startReaper = (world: World, machine: Machine): void => {
  const look = (): void => {
    world.agenda.after(LOOK_MS, look);
    if (machine.reaper_since === undefined || machine.engine.up_since === undefined) return;
    for (const container of machine.engine.containers.values()) {
      if (container.state === 'running') judge(world, machine, container);
    }
  };
  look();
};
