import {
  type ContainerView,
  callEngine,
  listContainers,
  removeContainer,
  UNREACHABLE,
  unpauseContainer,
} from '../engine.js';
import { sleep } from '../network.js';
import { type Steps, spawn, wait } from '../process.js';
import { readPosition } from '../record/queues.js';
import { call, confirm, type Hold, isLost, isStopped, type Worker } from './hold.js';
import { type Played, toPlayed, toStopped } from './played.js';
import { noteStart, startAndWatch } from './start.js';
import { watch } from './watch.js';

/** Removes what has not been started. False: it cannot be told, or it has been started meanwhile. */
function* removeUnstarted(worker: Worker, own: ContainerView): Steps<boolean> {
  const { world, machine } = worker;
  const force = own.state === 'running' || world.mutation === 'forces_removal_of_created';
  const by = { id: own.id, force, why: 'adopted before its start' };
  const removed = yield* wait(callEngine(world, machine.engine, () => removeContainer(world, machine.engine, by)));
  if (removed === 'running') world.tally('adopted: started while it was looked at');
  else world.tally('adopted: created');
  return removed === 'removed' || removed === 'missing';
}

/** The epoch's container as the engine shows it, whenever the engine answers. One that was only created is removed first. */
function* findBegun(worker: Worker, hold: Hold): Steps<ContainerView | 'none' | 'left'> {
  const { world, machine } = worker;
  const { engine } = machine;
  const isUnstarted = ({ state }: ContainerView): boolean =>
    state === 'created' || (world.mutation === 'adoption_restarts' && state === 'running');
  while (!isLost(hold)) {
    const found = yield* wait(callEngine(world, engine, () => listContainers(engine, hold.job.id)));
    if (found !== UNREACHABLE) {
      const own = found.find((one) => one.epoch === hold.claim.epoch);
      if (own === undefined) return 'none';
      if (!isUnstarted(own)) return own;
      if (yield* removeUnstarted(worker, own)) return 'none';
    }
    yield sleep(world, 1_000);
  }
  return 'left';
}

type TakenOver = Played | 'left' | 'unbegun' | 'unanswered' | 'late';

/**
 * Goes on with an epoch that was begun, as far as the engine shows that it came. What runs or has ended is followed to its end; what
 * was not started yet is done anew, under the same epoch.
 */
export function* takeOver(worker: Worker, hold: Hold, ran_ms: number | null): Steps<TakenOver> {
  const { world, machine } = worker;
  const found = yield* findBegun(worker, hold);
  if (found === 'left') return 'left';
  if (found === 'none') {
    if (ran_ms !== null && world.mutation !== 'adoption_restarts') {
      world.tally('adopted: removed');
      return toPlayed(hold, { kind: 'removed' }, Number.POSITIVE_INFINITY);
    }
    if (isStopped(hold)) return toStopped(hold);
    world.tally('adopted: not started');
    return 'unbegun';
  }
  world.tally(`adopted: ${found.state}`);
  hold.container_id = found.id;
  const position = yield* wait(call(worker, () => readPosition(world.record, hold.job.id, hold.claim.epoch)));
  hold.output = { sent: position.bytes, piece: position.piece };
  if (world.mutation === 'starts_what_has_ended' && found.state === 'exited') {
    return yield* startAndWatch(worker, hold, found);
  }
  if (!(yield* confirm(worker, hold))) return 'left';
  yield* wait(callEngine(world, machine.engine, () => unpauseContainer(world, machine.engine, found.id)));
  if (ran_ms === null) spawn(worker.process, noteStart(worker, hold));
  return yield* watch(worker, hold, { id: found.id, ran_ms: ran_ms ?? 0, deadline_ms: found.deadline_ms });
}
