import { callEngine, UNREACHABLE } from '../engine.js';
import { createLink, isCutOff, sleep } from '../network.js';
import { createProcess, either, kill, type Process, type Steps, spawn, wait } from '../process.js';
import { draw, LET_GO_MS, letGo } from '../record/claims.js';
import type { Machine, World } from '../world.js';
import { adoptPass, hold } from './adopt.js';
import { runAttempt } from './attempt.js';
import { ask, call, leaveIt, type Worker } from './hold.js';
import { expireLoop, reconcileLoop } from './housekeeping.js';
import { beatLoop, beatOnce, fenceLoop, renewLoop } from './leases.js';

const TAKE_MS = 600;
const NO_ROOM_MS = 3_000;
const SECOND_SIGNAL_MS = 500;
const KILL_LIMIT_MS = 12_000;
const LEAVE_LIMIT_MS = 2_000;
const BROKER_LIMIT_MS = 750;

function* takeOne(worker: Worker, ticket: string): Steps<void> {
  const { world, machine, process } = worker;
  const { record } = world;
  const sent_at = world.agenda.now;
  worker.calls += 1;
  const by = {
    ticket,
    worker: process.name,
    engine: machine.name,
    capacity: machine.capacity,
    call: `${process.name}-${worker.calls}`,
  };
  const reply = yield* wait(call(worker, (now) => draw(record, now, by)));
  const job = reply.kind === 'claimed' ? world.jobs.get(reply.id) : undefined;
  if (reply.kind === 'claimed' && job) {
    if (!ticket.startsWith(`${job.id}-`)) world.tally('ticket exchanged');
    world.note(() => `${process.name} drew ${job.id} e${reply.epoch} with ${ticket}`);
    spawn(process, runAttempt(worker, { hold: hold(worker, job, { ...reply, sent_at }) }), true);
    return;
  }
  if (reply.kind !== 'none') return;
  world.tally('no room');
  world.queue.push(ticket);
  yield sleep(world, NO_ROOM_MS);
}

function* takeLoop(worker: Worker): Steps<void> {
  const { world, machine } = worker;
  for (;;) {
    yield sleep(world, TAKE_MS);
    if (!worker.accepting) return;
    if (worker.gate_shut) {
      const answer = yield* wait(callEngine(world, machine.engine, () => true));
      if (answer === UNREACHABLE) continue;
      worker.gate_shut = false;
    }
    const ticket = isCutOff(world, worker.link) ? undefined : world.queue.shift();
    if (ticket !== undefined) yield* takeOne(worker, ticket);
  }
}

function* live(worker: Worker): Steps<void> {
  const { process } = worker;
  yield* beatOnce(worker);
  spawn(process, beatLoop(worker));
  spawn(process, renewLoop(worker));
  spawn(process, fenceLoop(worker));
  spawn(process, reconcileLoop(worker), true);
  spawn(process, expireLoop(worker));
  spawn(process, takeLoop(worker));
}

export const startWorker = (world: World, machine: Machine, name: string): Worker => {
  const process = createProcess(name);
  const { now } = world.agenda;
  const worker: Worker = {
    world,
    machine,
    process,
    link: createLink(process, machine),
    holds: new Map(),
    renewed_at: now,
    fenced: false,
    looked_at: now,
    other_engines: 0,
    steady_since: now,
    asked_at: now,
    told_at: now,
    accepting: true,
    adopting: false,
    adopt_again: false,
    gate_shut: false,
    suspects: new Set(),
    calls: 0,
  };
  machine.processes.add(process);
  spawn(process, live(worker));
  return worker;
};

/** What a message on the machine's channel makes a worker do. */
export const hear = (worker: Worker, message: string): void => {
  const [word, id = ''] = message.split(' ');
  const held = worker.holds.get(id);
  if (word === 'cancel' && held) ask(held, 'cancel');
  if (word === 'orphans') spawn(worker.process, adoptPass(worker), true);
};

function* untilIdle(worker: Worker, limit_ms: number): Steps<void> {
  const until = worker.world.agenda.now + limit_ms;
  while (worker.holds.size > 0 && worker.world.agenda.now < until) yield sleep(worker.world, 100);
}

/** A shutdown: leaves the containers to others of the machine, or kills them and gives the jobs back. Then the process is gone. */
export function* shutDown(worker: Worker, mode: 'leave' | 'kill', exit: (process: Process) => void): Steps<void> {
  const { world, machine, process } = worker;
  worker.accepting = false;
  yield* untilIdle(worker, SECOND_SIGNAL_MS);
  const held = [...worker.holds.values()];
  for (const one of held) {
    if (mode === 'kill') ask(one, 'release');
    else leaveIt(one, 'let_go');
  }
  yield* untilIdle(worker, mode === 'kill' ? KILL_LIMIT_MS : LEAVE_LIMIT_MS);
  const by = { worker: process.name, engine: machine.name, held: held.map((one) => one.claim) };
  const leaving = call(worker, (now) => {
    const count = letGo(world.record, now, by);
    if (count > 0) world.tally('let go');
    world.publish(machine.name, 'orphans');
  });
  yield* wait(either(leaving, sleep(world, BROKER_LIMIT_MS)));
  if (world.mutation === 'lease_noted_without_grant' && mode === 'leave') {
    machine.lease = { exclusive: worker.other_engines > 0, renewed_at: world.agenda.now, lease_ms: LET_GO_MS };
  }
  kill(process);
  exit(process);
}
