import { judgeContainer } from '@berth/domain';
import {
  type ContainerView,
  callEngine,
  listContainers,
  removeContainer,
  signalContainer,
  UNREACHABLE,
} from '../engine.js';
import { sleep } from '../network.js';
import { type Steps, wait } from '../process.js';
import { expire, LEASE_MARGIN_MS, LEASE_MS } from '../record/claims.js';
import { adoptPass } from './adopt.js';
import { call, FENCE_AFTER_MS, isLost, type Worker } from './hold.js';
import { steadyFor, unpauseOne } from './leases.js';

const RECONCILE_MS = 10_000;
const EXPIRE_MS = 5_000;

/** A neighbour that was cut off, or the reaper, may have paused what has been ours for long. */
function* liftFence(worker: Worker, found: ContainerView): Steps<void> {
  const hold = worker.holds.get(found.job_id);
  const { mutation, agenda } = worker.world;
  if (!(hold && found.paused) || isLost(hold) || mutation === 'fence_is_never_lifted_by_heirs') return;
  if (agenda.now - worker.renewed_at < FENCE_AFTER_MS) yield* unpauseOne(worker, found.id);
}

function* judgeFound(worker: Worker, found: ContainerView, suspects: Set<number>): Steps<void> {
  const { world, machine } = worker;
  const read = call(worker, () => {
    const job = world.record.jobs.get(found.job_id);
    return job ? { state: job.state, epoch: job.epoch } : null;
  });
  const record = yield* wait(read);
  const verdict = judgeContainer({ ...found, running: found.state === 'running' }, record, world.agenda.now);
  if (verdict === 'keep' || (verdict === 'overdue' && world.mutation === 'no_deadline_from_outside')) return;
  if (verdict === 'superfluous' && !suspects.has(found.id)) {
    worker.suspects.add(found.id);
    return;
  }
  world.tally(`reconcile: ${verdict}`);
  const { id } = found;
  const sender = worker.process.name;
  yield* wait(
    callEngine(world, machine.engine, () =>
      verdict === 'overdue'
        ? signalContainer(world, machine.engine, { id, signal: 9, sender, why: 'deadline' })
        : removeContainer(world, machine.engine, { id, force: true, why: 'superfluous' }),
    ),
  );
}

/** One pass over the containers of this engine. */
function* reconcile(worker: Worker): Steps<void> {
  const { world, machine } = worker;
  const found = yield* wait(callEngine(world, machine.engine, () => listContainers(machine.engine)));
  if (found === UNREACHABLE) return;
  const suspects = worker.suspects;
  worker.suspects = new Set();
  for (const one of found) {
    if (worker.holds.get(one.job_id)?.claim.epoch === one.epoch) yield* liftFence(worker, one);
    else yield* judgeFound(worker, one, suspects);
  }
}

export function* reconcileLoop(worker: Worker): Steps<void> {
  for (;;) {
    yield* adoptPass(worker);
    yield* reconcile(worker);
    yield sleep(worker.world, RECONCILE_MS);
  }
}

/** Takes jobs away from machines that have stopped renewing. The living must have had their chance to renew first. */
export function* expireLoop(worker: Worker): Steps<void> {
  const { world } = worker;
  for (;;) {
    yield sleep(world, EXPIRE_MS);
    const is_sure = steadyFor(worker) >= LEASE_MS + LEASE_MARGIN_MS;
    if (!is_sure && world.mutation !== 'expire_does_not_wait') continue;
    const { told_at } = worker;
    const lost = yield* wait(call(worker, (now) => expire(world.record, now, told_at)));
    for (const id of lost) {
      world.tally('expired');
      world.note(() => `${worker.process.name} took ${id} away from whoever held it`);
    }
  }
}
