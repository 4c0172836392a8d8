import type { ExitReport } from '@berth/domain';
import { readOutput, toReport } from '../container-traces.js';
import { type Container, callEngine, signalContainer, UNREACHABLE } from '../engine.js';
import { sleep } from '../network.js';
import { either, type Steps, spawn, type Wait, wait } from '../process.js';
import { intend } from '../record/claims.js';
import { append } from '../record/queues.js';
import { type Ask, ask, call, type Hold, untilChanged, type Worker } from './hold.js';
import { type Played, toPlayed } from './played.js';

const LOOK_MS = 2_500;
const RELEASE_GRACE_MS = 2_000;
const INTEND_LIMIT_MS = 2_000;
const STOP_AGAIN_MS = 1_000;

export interface Watched {
  id: number;
  ran_ms: number;
  deadline_ms: number;
}

/** Sends what the container has written since the last piece; what is sent later on this connection comes after it. */
const storeOutput = (worker: Worker, hold: Hold, container: Container): void => {
  const { world } = worker;
  const to = readOutput(world, container);
  if (to <= hold.output.sent) return;
  const piece = { ...hold.claim, piece: hold.output.piece + 1, from: hold.output.sent, to };
  hold.output = { sent: to, piece: piece.piece };
  call(worker, () => append(world.record, piece))((reply) => {
    if (reply === 'stale') world.tally('output refused');
  });
};

const untilEvent =
  (container: Container): Wait<void> =>
  (resume) => {
    container.watchers.add(resume as () => void);
  };

const toGrace = (why: Ask, hold: Hold): number => {
  if (why === 'over') return 0;
  return why === 'release' ? Math.min(RELEASE_GRACE_MS, hold.job.grace_ms) : hold.job.grace_ms;
};

/** Why we end a container is in the record before the first signal is sent: whoever finds it dead then knows. */
function* mayStop(worker: Worker, hold: Hold, why: Ask): Steps<boolean> {
  const { mutation, record } = worker.world;
  if (why !== 'timeout' && (why !== 'release' || mutation === 'kills_without_intent')) return true;
  const noted = call(worker, () => intend(record, { ...hold.claim, intent: why }));
  if (mutation !== 'signals_without_intent') return (yield* wait(noted)) !== 'stale';
  yield* wait(either(noted, sleep(worker.world, INTEND_LIMIT_MS)));
  return true;
}

function* stopContainer(worker: Worker, hold: Hold, { id, why }: { id: number; why: Ask }): Steps<void> {
  const { world, machine } = worker;
  if (!(yield* mayStop(worker, hold, why))) return;
  const send = (signal: 9 | 15) =>
    callEngine(world, machine.engine, () =>
      signalContainer(world, machine.engine, { id, signal, sender: worker.process.name, why }),
    );
  const isDone = (): boolean => hold.ended || hold.leave !== undefined || hold.request !== why;
  if (isDone()) return;
  const grace_ms = toGrace(why, hold);
  if (grace_ms > 0) {
    yield* wait(send(15));
    yield sleep(world, grace_ms);
  }
  while (!isDone()) {
    yield* wait(send(9));
    yield sleep(world, STOP_AGAIN_MS);
  }
}

/** What the engine shows of it now. */
function* look(worker: Worker, hold: Hold, id: number): Steps<ExitReport | 'running' | 'away'> {
  const { world, machine, process } = worker;
  const container = yield* wait(callEngine(world, machine.engine, () => machine.engine.containers.get(id)));
  if (container === UNREACHABLE) return 'away';
  if (container === undefined) return { kind: 'removed' };
  // A worker that was told to leave it must not store what comes after it said goodbye.
  storeOutput(worker, hold, container);
  return container.state === 'exited' ? toReport(container, process.name) : 'running';
}

interface Watching {
  id: number;
  timeout_at: number;
  /** The engine shows that it runs. */
  is_seen: boolean;
  /** For which request it is being stopped. */
  stopping: Ask | undefined;
}

/** Ends the container where that was asked for, or where its time is over. */
const act = (worker: Worker, hold: Hold, watching: Watching): void => {
  const { world, process } = worker;
  if (watching.is_seen && world.agenda.now >= watching.timeout_at && hold.request === undefined) ask(hold, 'timeout');
  if (hold.request === undefined || hold.request === watching.stopping) return;
  watching.stopping = hold.request;
  spawn(process, stopContainer(worker, hold, { id: watching.id, why: hold.request }), true);
};

const untilNext = (worker: Worker, hold: Hold, { id, timeout_at }: Watching): Wait<void> => {
  const { world, machine } = worker;
  const container = machine.engine.containers.get(id);
  const next_ms = hold.request === undefined ? Math.min(LOOK_MS, timeout_at - world.agenda.now) : LOOK_MS;
  const changed = either(sleep(world, Math.max(1, next_ms)), untilChanged(hold));
  return container ? either(changed, untilEvent(container)) : changed;
};

/** From the start to the end: whoever asks first for an earlier end decides what the end is called. */
export function* watch(worker: Worker, hold: Hold, { id, ran_ms, deadline_ms }: Watched): Steps<Played | 'left'> {
  const { agenda, mutation } = worker.world;
  const timeout_at = agenda.now + Math.max(0, hold.job.timeout_ms - ran_ms);
  const watching: Watching = { id, timeout_at, is_seen: false, stopping: undefined };
  for (;;) {
    const seen = yield* look(worker, hold, id);
    if (hold.leave !== undefined) return 'left';
    if (typeof seen !== 'string') return toPlayed(hold, seen, deadline_ms);
    // An engine that is away may have taken the container with it, before its time.
    watching.is_seen = seen === 'running' || mutation === 'times_out_blindly';
    act(worker, hold, watching);
    yield* wait(untilNext(worker, hold, watching));
    if (hold.leave !== undefined) return 'left';
  }
}
