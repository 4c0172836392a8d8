import { type Cause, type EventType, fits, isTerminal } from '@berth/domain';
import type { Container, Engine } from './engine.js';
import type { JobModel } from './record/record-model.js';
import type { SimJob, World } from './world.js';

/** Checked with every event of every job. */
export const checkEvent = (world: World, job: JobModel, type: EventType): void => {
  const ends = job.events.filter(
    (event) => event === 'completed' || event === 'failed' || event === 'cancelled',
  ).length;
  if (ends > 1 || (ends === 1 && !isTerminal(job.state))) world.fail('I1', `${job.id}: ${type} after its end`);
  if (type !== 'claimed') return;
  const claims = job.events.filter((event) => event === 'claimed').length;
  if (job.epoch !== claims) world.fail('epochs', `${job.id}: epoch ${job.epoch} after ${claims} claims`);
};

/** Checked after each claim. */
export const checkRoom = (world: World): void => {
  for (const machine of world.machines) {
    const used = world.record.engines.get(machine.name)?.reserved;
    if (used && !fits(used, machine.capacity)) world.fail('room', `${machine.name} is overbooked`);
  }
};

/** Checked all along: whoever is on their way through the queue has a ticket, one each. */
export const checkTickets = (world: World): void => {
  const { dispatched, tickets, jobs } = world.record;
  if (tickets.size !== dispatched.size) world.fail('tickets', `${tickets.size} tickets for ${dispatched.size} jobs`);
  for (const [ticket, id] of tickets) {
    if (jobs.get(id)?.ticket !== ticket) world.fail('tickets', `${ticket} was issued for ${id}, who does not have it`);
  }
};

const OUTLIVED_MS = 15_000;
const TIME_TO_ACT_MS = 10_000;

/** Looked at 15 s after the deadline of a container, and again for as long as nobody could have acted. */
export const checkDeadline = (world: World, engine: Engine, container: Container): void => {
  const { agenda } = world;
  const machine = world.machines.find((one) => one.engine === engine);
  const look = (): void => {
    if (container.state !== 'running') return;
    const zombie_since = container.zombie ? (container.started_at ?? 0) : 0;
    const able_since = Math.max(engine.up_since ?? agenda.now, machine?.reaper_since ?? agenda.now, zombie_since);
    const able_ms = agenda.now - able_since;
    if (able_ms >= TIME_TO_ACT_MS) world.fail('I3', `${container.name} outlives its deadline`);
    else agenda.after(TIME_TO_ACT_MS - able_ms, look);
  };
  agenda.at(container.deadline_ms + OUTLIVED_MS, look);
};

const PAUSED_LOOK_MS = 10_000;
const PAUSED_LOOKS = 4;
const RENEWED_LATELY_MS = 13_000;

/** Looked at after each pause: who holds and renews a job sees to it that its container goes on. */
export const checkPause = (world: World, engine: Engine, container: Container): void => {
  const { agenda, record } = world;
  const { turn } = container;
  let looks = 0;
  const look = (): void => {
    if (container.turn !== turn) return;
    const job = record.jobs.get(container.job.id);
    const renewed = (record.leases.get(container.job.id) ?? 0) - agenda.now > RENEWED_LATELY_MS;
    const is_held = job?.state === 'running' && job.epoch === container.epoch && job.owner !== undefined;
    const is_kept = is_held && renewed && engine.up_since !== undefined && engine.flaky_until < agenda.now;
    looks = is_kept ? looks + 1 : 0;
    if (looks >= PAUSED_LOOKS) world.fail('paused', `${container.name} stands still though ${job?.owner} renews`);
    else agenda.after(PAUSED_LOOK_MS, look);
  };
  agenda.after(PAUSED_LOOK_MS, look);
};

const PLATFORM: ReadonlySet<string> = new Set(['engine_restarted', 'node_lost']);
/** A timer may be so much early, by what it takes the start to be answered. */
const EARLY_MS = 20;

const ranOver = (one: Container, { timeout_ms }: SimJob): boolean =>
  one.started_at !== undefined && one.finished_at - one.started_at >= timeout_ms - EARLY_MS;

/**
 * A worker that stood still right before the start makes a container whose deadline has begun, and the reaper may stop it at any time. One
 * that ends with a stop signal's code by itself then cannot be told from it.
 */
const diedAsIfStopped = ({ ended_by, exit_code }: Container): boolean =>
  ended_by === 'deadline' || (ended_by === 'program' && (exit_code === 137 || exit_code === 143));

type Truth = (one: Container, job: SimJob) => boolean;

/** What must really have happened to a container of the epoch for its cause to be true. */
const TRUE_OF_CONTAINER: Partial<Record<Cause | 'completed', Truth>> = {
  completed: (one) => one.ended_by === 'program' && one.exit_code === 0,
  exit_code: (one, { program }) =>
    (one.ended_by === 'program' && one.exit_code !== 0 && program.memory === 'enough') || one.forgotten,
  out_of_memory: (one, { program }) => one.ended_by === 'program' && program.memory !== 'enough' && one.exit_code !== 0,
  timeout: (one, job) => (ranOver(one, job) && one.ended_by !== '') || (one.zombie && diedAsIfStopped(one)),
  killed_externally: (one) => one.ended_by === 'outside',
  removed_externally: (one) => one.removed_by === 'outside',
};

const isTrue = (world: World, sim: SimJob, of: { epoch: number; cause: string }): boolean => {
  const { cause } = of;
  if (PLATFORM.has(cause) || cause === 'poison') return !world.calm;
  if (cause === 'cancelled') return sim.cancel_answered;
  if (cause === 'start_failed' || cause === 'image_not_found' || cause === 'image_pull_failed') {
    return sim.program.kind === cause;
  }
  const holds = TRUE_OF_CONTAINER[(cause || 'completed') as Cause | 'completed'];
  return holds !== undefined && sim.containers.some((one) => one.epoch === of.epoch && holds(one, sim));
};

const checkCauses = (world: World, job: JobModel, sim: SimJob): void => {
  for (const attempt of job.attempts) {
    if (!isTrue(world, sim, attempt)) {
      const real = sim.containers.filter((one) => one.epoch === attempt.epoch).map((one) => one.ended_by);
      world.fail('cause', `${job.id} e${attempt.epoch}: ${attempt.cause || 'completed'} is recorded, but: [${real}]`);
    }
  }
  if (job.cause === 'queue_timeout' && sim.queue_timeout_ms === undefined)
    world.fail('cause', `${job.id}: ${job.cause}`);
  if (job.cause !== 'poison') return;
  const last = job.attempts.slice(-3).map(({ cause }) => cause);
  const all_lost = last.length === 3 && last.slice(0, 2).every((cause) => PLATFORM.has(cause));
  if (!all_lost) world.fail('cause', `${job.id}: poison after [${last}]`);
};

const checkCounts = (world: World, job: JobModel, sim: SimJob): void => {
  const used = job.attempts.filter(({ cause }) => !PLATFORM.has(cause) && cause !== 'poison').length;
  if (used > sim.policy.max_attempts) world.fail('I6', `${job.id}: ${used} attempts of ${sim.policy.max_attempts}`);
  const lost = job.attempts.filter(({ cause }) => PLATFORM.has(cause)).length;
  if (job.attempt > used + 1) world.fail('I6', `${job.id}: attempt ${job.attempt} after ${used} (${lost} lost)`);
  if (sim.starts > job.epoch + sim.excused_starts)
    world.fail('I5', `${job.id}: ${sim.starts} starts, ${job.epoch} epochs`);
  if (world.harmless && (lost > 0 || job.epoch > job.attempt)) {
    world.fail('I5', `${job.id}: epoch ${job.epoch} though no part of Berth has failed`);
  }
  if (!world.calm) return;
  if (lost > 0 || job.epoch > job.attempt) world.fail('I5', `${job.id}: epoch ${job.epoch} without any fault`);
  const never_starts = sim.program.kind !== 'runs' || sim.cancel_answered;
  if (!never_starts && sim.starts !== job.epoch) world.fail('I5', `${job.id}: ${sim.starts} starts without any fault`);
};

/** Of each epoch the pieces follow on each other from the first byte; a newer epoch begins with the note that says so. */
const checkLog = (world: World, job: JobModel, sim: SimJob): void => {
  let epoch = job.log[0]?.epoch ?? 0;
  let next = 0;
  for (const piece of job.log) {
    if (piece.epoch !== epoch && piece.piece !== 0) world.fail('I9', `${job.id}: epoch ${piece.epoch} without a note`);
    if (piece.epoch !== epoch) next = 0;
    epoch = piece.epoch;
    if (piece.from !== next) world.fail('I9', `${job.id} e${epoch}: byte ${piece.from} after byte ${next}`);
    next = piece.to;
  }
  if (job.state !== 'completed') return;
  const whole = Math.floor((sim.program.duration_ms * sim.program.bytes_per_second) / 1_000);
  const written = epoch === job.epoch ? next : 0;
  if (written !== whole) world.fail('I9', `${job.id}: ${written} of ${whole} bytes are stored`);
};

const checkLeftovers = (world: World): void => {
  const { record } = world;
  for (const [name, { reserved, running }] of record.engines) {
    if (reserved.centicpus + reserved.memory_mb !== 0) world.fail('room', `${name} has something reserved at rest`);
    if (running.size > 0) world.fail('I8', `${name} runs ${[...running]} at rest`);
  }
  const left = record.leases.size + record.backlog.size + record.dispatched.size + record.due.size;
  if (left + record.queue_deadlines.size + record.tickets.size > 0) {
    world.fail('I8', 'leases, queue entries or tickets are left at rest');
  }
  for (const { engine } of world.machines) {
    for (const { name } of engine.containers.values()) world.fail('I8', `${name} is left at rest`);
  }
};

/** Checked when everything rests. */
export const checkRest = (world: World): void => {
  const { record } = world;
  for (const [id, sim] of world.jobs) {
    const job = record.jobs.get(id);
    if (!(job && isTerminal(job.state))) {
      world.fail('I2', `${id} is ${job?.state ?? 'missing'} (e${job?.epoch}) at rest`);
      continue;
    }
    if (sim.cancel_answered && job.state !== 'cancelled') world.fail('cancel', `${id} is ${job.state} after a cancel`);
    checkCauses(world, job, sim);
    checkCounts(world, job, sim);
    checkLog(world, job, sim);
  }
  checkLeftovers(world);
};
