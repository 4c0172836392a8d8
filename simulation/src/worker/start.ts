import { type ContainerView, callEngine, startContainer, UNREACHABLE } from '../engine.js';
import { sleep } from '../network.js';
import { type Steps, spawn, wait } from '../process.js';
import { start } from '../record/claims.js';
import { ask, call, confirm, type Hold, isLost, isStopped, type Worker } from './hold.js';
import { DEADLINE_SLACK_MS, LOST_TO_ENGINE, type Played, toStopped } from './played.js';
import { watch } from './watch.js';

export function* noteStart(worker: Worker, hold: Hold): Steps<void> {
  const reply = yield* wait(call(worker, (now) => start(worker.world.record, now, hold.claim)));
  if (reply === 'cancel') ask(hold, 'cancel');
}

type Started = Played | 'left' | 'unanswered' | 'late';

/** Its deadline was written when it was made; what could be started only much later has to be made anew. */
const LATE_MS = 5_000;

/**
 * Starts a container that was made and not started, after a last look at the record. `unanswered`: it may have started. `late`: it
 * was not, and must not be any more.
 */
export function* startAndWatch(worker: Worker, hold: Hold, made: ContainerView): Steps<Started> {
  const { world, machine, process } = worker;
  const made_at = made.deadline_ms - hold.job.timeout_ms - hold.job.grace_ms - DEADLINE_SLACK_MS;
  if (world.mutation !== 'no_check_before_start') yield* confirm(worker, hold);
  if (isStopped(hold)) return toStopped(hold);
  if (world.agenda.now - made_at > LATE_MS && world.mutation !== 'starts_with_old_deadline') return 'late';
  const window = { was_stopped: false };
  process.windows.add(window);
  yield sleep(world, 0);
  process.windows.delete(window);
  const by = { id: made.id, zombie: window.was_stopped };
  const reply = yield* wait(callEngine(world, machine.engine, () => startContainer(world, machine.engine, by)));
  if (reply === UNREACHABLE) return 'unanswered';
  if (reply === 'missing') return isLost(hold) ? 'left' : LOST_TO_ENGINE;
  if (reply === 'failed') return { outcome: { kind: 'start_failed', message: '', exit_code: 127 } };
  spawn(process, noteStart(worker, hold));
  return yield* watch(worker, hold, { id: made.id, ran_ms: 0, deadline_ms: made.deadline_ms });
}
