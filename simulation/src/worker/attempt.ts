import { judge, toCause, toExitCode, toFinalState } from '@berth/domain';
import {
  type ContainerView,
  callEngine,
  createContainer,
  listContainers,
  removeContainer,
  UNREACHABLE,
} from '../engine.js';
import { sleep } from '../network.js';
import { either, type Steps, wait } from '../process.js';
import { type AdoptionModel, settle } from '../record/claims.js';
import { beginAnew } from '../record/queues.js';
import type { Ending } from '../record/record-model.js';
import { ask, call, confirm, type Hold, isStopped, untilChanged, type Worker } from './hold.js';
import { DEADLINE_SLACK_MS, LOST_TO_ENGINE, type Played, toStopped } from './played.js';
import { startAndWatch } from './start.js';
import { takeOver } from './take-over.js';

const toUnbegun = (worker: Worker, hold: Hold): Played => {
  worker.gate_shut = true;
  return { ...LOST_TO_ENGINE, unbegun: hold.request === undefined };
};

/** What an earlier epoch left on this engine must be gone before ours is made. */
function* clearWay(worker: Worker, hold: Hold): Steps<boolean> {
  const { world, machine } = worker;
  const { id, epoch } = hold.claim;
  const found = yield* wait(callEngine(world, machine.engine, () => listContainers(machine.engine, id)));
  if (found === UNREACHABLE) return false;
  for (const older of found.filter((one) => one.epoch < epoch)) {
    world.tally('container of an older epoch removed');
    const by = { id: older.id, force: true, why: 'older epoch' };
    const done = yield* wait(callEngine(world, machine.engine, () => removeContainer(world, machine.engine, by)));
    if (done === UNREACHABLE) return false;
  }
  yield* wait(call(worker, () => beginAnew(world.record, hold.claim)));
  return true;
}

/** Makes the container of the epoch. One that has its name was made by us, too, and has not been started. */
function* make(worker: Worker, hold: Hold): Steps<ContainerView | 'taken' | 'unreachable'> {
  const { world, machine } = worker;
  const { engine } = machine;
  const { job, attempt, claim } = hold;
  const deadline_ms = world.agenda.now + job.timeout_ms + job.grace_ms + DEADLINE_SLACK_MS;
  const options = { job, epoch: claim.epoch, attempt, deadline_ms };
  const made = yield* wait(callEngine(world, engine, () => createContainer(engine, options)));
  if (made !== 'taken') return made;
  world.tally('name taken');
  const found = yield* wait(callEngine(world, engine, () => listContainers(engine, job.id)));
  if (found === UNREACHABLE) return UNREACHABLE;
  const own = found.find((one) => one.epoch === claim.epoch);
  if (own?.state === 'created') {
    if (!(yield* confirm(worker, hold))) return 'taken';
    const force = world.mutation === 'forces_removal_of_created';
    const by = { id: own.id, force, why: 'made before' };
    yield* wait(callEngine(world, engine, () => removeContainer(world, engine, by)));
  }
  return yield* wait(callEngine(world, engine, () => createContainer(engine, options)));
}

/** From the image to the end. Up to the start, an engine that fails only costs the epoch: nothing of it can run later. */
function* begin(worker: Worker, hold: Hold): Steps<Played | 'left'> {
  const { program } = hold.job;
  yield* wait(either(sleep(worker.world, program.pull_ms), untilChanged(hold)));
  if (isStopped(hold)) return toStopped(hold);
  if (program.kind === 'image_not_found' || program.kind === 'image_pull_failed') {
    return { outcome: { kind: program.kind, message: '' } };
  }
  if (hold.claim.epoch > 1 && !(yield* clearWay(worker, hold))) return toUnbegun(worker, hold);
  return yield* makeAndStart(worker, hold);
}

function* makeAndStart(worker: Worker, hold: Hold): Steps<Played | 'left'> {
  for (;;) {
    const made = yield* make(worker, hold);
    if (made === 'taken') return isStopped(hold) ? toStopped(hold) : LOST_TO_ENGINE;
    if (made === 'unreachable') return toUnbegun(worker, hold);
    hold.container_id = made.id;
    const played = yield* startAndWatch(worker, hold, made);
    // It has the name of the next one, which takes its place.
    if (played === 'late') continue;
    if (played !== 'unanswered') return played;
    worker.gate_shut = true;
    return yield* goOn(worker, hold, null);
  }
}

/** Where an epoch was begun by somebody else, or by us without an answer. */
function* goOn(worker: Worker, hold: Hold, ran_ms: number | null): Steps<Played | 'left'> {
  for (;;) {
    const played = yield* takeOver(worker, hold, ran_ms);
    if (played === 'unbegun') return yield* begin(worker, hold);
    if (played !== 'unanswered' && played !== 'late') return played;
  }
}

export interface Taken {
  hold: Hold;
  adoption?: AdoptionModel;
}

/** The story of one attempt, from the claim or the adoption to the end of the container. */
export function* runAttempt(worker: Worker, { hold, adoption }: Taken): Steps<void> {
  if (adoption?.intent) ask(hold, adoption.intent);
  const played = adoption ? yield* goOn(worker, hold, adoption.ran_ms) : yield* begin(worker, hold);
  hold.ended = true;
  if (played !== 'left') yield* finish(worker, hold, played);
  if (worker.holds.get(hold.job.id) === hold) worker.holds.delete(hold.job.id);
}

const toEnding = (worker: Worker, hold: Hold, { outcome, unbegun }: Played): Omit<Ending, 'max_restarts'> => {
  const final = toFinalState(outcome);
  if ((hold.request === 'release' || unbegun === true) && final !== 'completed') {
    return { type: 'released', cause: null, exit_code: null, delay_ms: 0 };
  }
  const verdict = judge(outcome, hold.attempt, hold.job.policy, worker.world.random.next());
  const type = verdict.next === 'end' ? (final as 'completed' | 'failed' | 'cancelled') : verdict.next;
  const delay_ms = verdict.next === 'retried' ? verdict.delay_ms : 0;
  return { type, cause: toCause(outcome), exit_code: toExitCode(outcome), delay_ms };
};

/** The settlement goes right behind the last output. The container goes last: until the end is recorded, it is the evidence. */
function* finish(worker: Worker, hold: Hold, played: Played): Steps<void> {
  const { world, machine } = worker;
  if (isGivenUp(hold)) return;
  const ending = toEnding(worker, hold, played);
  const reply = yield* wait(call(worker, (now) => settle(world.record, now, { ...hold.claim, ending })));
  world.note(() => `${worker.process.name} settles ${hold.job.id} e${hold.claim.epoch}: ${ending.type} ${reply.kind}`);
  if (reply.kind === 'stale') world.tally('settlement refused');
  const is_over = reply.kind === 'settled' || hold.request === 'over';
  if (!is_over || hold.container_id === undefined) return;
  const by = { id: hold.container_id, force: true, why: 'settled' };
  yield* wait(callEngine(world, machine.engine, () => removeContainer(world, machine.engine, by)));
}

/** Nothing may be written any more; whoever reconciles removes what nobody owns. */
const isGivenUp = (hold: Hold): boolean => hold.leave === 'moved';
