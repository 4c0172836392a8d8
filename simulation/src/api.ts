import * as queues from './record/queues.js';
import { dispatch, failOverdue, redispatch, releaseDue } from './record/queues.js';
import type { SimJob, World } from './world.js';

const TICK_MS = 500;
const SWEEP_MS = 5_000;
const OVERDUE_MS = 5_000;
const WINDOW = 8;

/** Puts jobs back whose message is gone. */
const sweep = (world: World): void => {
  const { now } = world.agenda;
  for (const [id, since] of world.record.dispatched) {
    const ticket = world.record.jobs.get(id)?.ticket;
    if (now - since < OVERDUE_MS || (ticket !== undefined && world.queue.includes(ticket))) continue;
    if (redispatch(world.record, id, ticket)) world.tally('swept');
  }
};

/** The API's own work on the record: the relay into the queue, the sweeper, back-offs and queue timeouts. */
export const startApi = (world: World): void => {
  const { agenda, record } = world;
  let swept_at = 0;
  const tick = (): void => {
    agenda.after(TICK_MS, tick);
    if (world.frozen_until > agenda.now) return;
    releaseDue(record, agenda.now);
    failOverdue(record, agenda.now);
    for (const ticket of dispatch(record, agenda.now, WINDOW)) world.queue.push(ticket);
    if (agenda.now - swept_at < SWEEP_MS) return;
    swept_at = agenda.now;
    sweep(world);
  };
  tick();
};

export const acceptJob = (world: World, job: SimJob): void => {
  if (world.frozen_until > world.agenda.now) {
    world.agenda.after(1_000, () => acceptJob(world, job));
    return;
  }
  const shape = { ask: job.ask, timeout_seconds: job.timeout_ms / 1_000 };
  queues.accept(world.record, world.agenda.now, { ...job, shape });
};

/** What was answered must come true. While the record is away there is no answer. */
export const cancelJob = (world: World, job: SimJob): void => {
  if (world.frozen_until > world.agenda.now) return;
  const reply = queues.cancel(world.record, job.id);
  world.note(() => `cancel of ${job.id}: ${reply.kind}`);
  if (reply.kind !== 'cancelled' && reply.kind !== 'requested') return;
  world.tally(`cancel ${reply.kind}`);
  job.cancel_answered = true;
  const engine = world.record.jobs.get(job.id)?.engine;
  const is_heard = !(world.noisy && world.random.chance(0.2));
  if (reply.kind === 'requested' && engine && is_heard) world.publish(engine, `cancel ${job.id}`);
};
