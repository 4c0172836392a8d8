import { callEngine, pauseContainer, UNREACHABLE, unpauseContainer } from '../engine.js';
import { sleep } from '../network.js';
import { type Steps, spawn, wait } from '../process.js';
import { beat, LEASE_MS, renew } from '../record/claims.js';
import { adoptPass } from './adopt.js';
import { applyState, call, FENCE_AFTER_MS, type Hold, isLost, type Worker } from './hold.js';

const BEAT_MS = 1_000;
const PROMPT_MS = 2_000;
const STEADY_MS = 2_000;
const RENEW_MS = LEASE_MS / 4;

/** For how long the record has answered every beat promptly and without a break. */
export const steadyFor = (worker: Worker): number => {
  const { now } = worker.world.agenda;
  return now - worker.asked_at > BEAT_MS + PROMPT_MS ? 0 : now - worker.steady_since;
};

/** One sign of life. */
export function* beatOnce(worker: Worker): Steps<void> {
  const { agenda, record } = worker.world;
  const by = { worker: worker.process.name, engine: worker.machine.name };
  const asked_at = agenda.now;
  const pulse = yield* wait(call(worker, (now) => beat(record, now, by)));
  const late = agenda.now - asked_at > PROMPT_MS || asked_at - worker.asked_at > BEAT_MS + PROMPT_MS;
  if (late) worker.steady_since = agenda.now;
  worker.asked_at = asked_at;
  worker.told_at = pulse.at;
  worker.other_engines = pulse.other_engines;
  if (pulse.silent.length > 0 && steadyFor(worker) > STEADY_MS) spawn(worker.process, adoptPass(worker), true);
}

export function* beatLoop(worker: Worker): Steps<void> {
  for (;;) {
    const next = worker.world.agenda.now + BEAT_MS;
    yield* beatOnce(worker);
    yield sleep(worker.world, Math.max(1, next - worker.world.agenda.now));
  }
}

export function* renewLoop(worker: Worker): Steps<void> {
  const { agenda, record } = worker.world;
  for (;;) {
    const sent_at = agenda.now;
    const held = [...worker.holds.values()];
    if (held.length > 0) {
      const states = yield* wait(
        call(worker, (now) =>
          renew(
            record,
            now,
            held.map((hold) => hold.claim),
          ),
        ),
      );
      for (const [i, hold] of held.entries()) if (worker.holds.get(hold.job.id) === hold) applyState(hold, states[i]);
    }
    worker.renewed_at = sent_at;
    yield sleep(worker.world, Math.max(1, sent_at + RENEW_MS - agenda.now));
  }
}

function* pauseOne(worker: Worker, hold: Hold): Steps<void> {
  const { world, machine } = worker;
  const id = hold.container_id;
  if (id === undefined) return;
  const done = yield* wait(callEngine(world, machine.engine, () => pauseContainer(world, machine.engine, id)));
  if (done === UNREACHABLE) hold.fenced = false;
  if (done === true) world.tally('fenced');
}

export function* unpauseOne(worker: Worker, id: number): Steps<void> {
  const { world, machine } = worker;
  const done = yield* wait(callEngine(world, machine.engine, () => unpauseContainer(world, machine.engine, id)));
  if (done === true) world.tally('unpaused');
}

/** How old what this worker knows of its leases is; one without jobs knows as much as its last sign of life has told. */
const toAge = (worker: Worker): number => {
  const { now } = worker.world.agenda;
  if (worker.holds.size > 0) return now - worker.renewed_at;
  return worker.world.mutation === 'idle_worker_vouches' ? 0 : now - worker.asked_at;
};

const pauseHeld = (worker: Worker): void => {
  if (worker.other_engines === 0 || worker.world.mutation === 'no_fence') return;
  for (const hold of worker.holds.values()) {
    if (hold.fenced) continue;
    hold.fenced = true;
    spawn(worker.process, pauseOne(worker, hold));
  }
};

/** A worker that has not renewed for too long stands its containers still, and tells the reaper for how long its leases are good. */
const lookAtFence = (worker: Worker): void => {
  const { now } = worker.world.agenda;
  const age = toAge(worker);
  const stood_still = now - worker.looked_at > FENCE_AFTER_MS;
  worker.looked_at = now;
  if (age > FENCE_AFTER_MS) {
    worker.fenced = true;
    pauseHeld(worker);
    return;
  }
  worker.machine.lease = { exclusive: worker.other_engines > 0, renewed_at: now - age, lease_ms: LEASE_MS };
  if (!worker.fenced && !stood_still) return;
  worker.fenced = false;
  for (const hold of worker.holds.values()) {
    hold.fenced = false;
    if (!isLost(hold) && hold.container_id !== undefined) spawn(worker.process, unpauseOne(worker, hold.container_id));
  }
};

export function* fenceLoop(worker: Worker): Steps<void> {
  for (;;) {
    lookAtFence(worker);
    yield sleep(worker.world, 1_000);
  }
}
