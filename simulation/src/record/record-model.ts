import {
  applyEvent,
  type Cause,
  type EventType,
  type Intent,
  isTerminal,
  type JobState,
  NO_RESOURCES,
  type Resources,
  type Shape,
} from '@berth/domain';
import type { Mutation } from '../mutations.js';

/**
 * The record store as plain data. The scripts of `libs/store` are functions over it, of the same names; a test drives both with the
 * same calls and compares them. Time is an argument: Redis takes it from its own clock.
 */
export interface RecordModel {
  jobs: Map<string, JobModel>;
  leases: Map<string, number>;
  engines: Map<string, EngineModel>;
  /** Engines by last sign of life. */
  engines_seen: Map<string, number>;
  backlog: Set<string>;
  /** By time of dispatch. */
  dispatched: Map<string, number>;
  /** The job that each ticket in the queue was issued for. */
  tickets: Map<string, string>;
  /** By the name of a call, what it has claimed. */
  calls: Map<string, { id: string; epoch: number }>;
  due: Map<string, number>;
  queue_deadlines: Map<string, number>;
  beats: number;
  /** It was found to have forgotten, and nobody has seen to it. In a simulation it never forgets. */
  went_back: boolean;
  /** Told of every event, in order. */
  onEvent: (job: JobModel, type: EventType) => void;
  mutation: Mutation | undefined;
}

export interface EngineModel {
  reserved: Resources;
  running: Set<string>;
  /** Workers by last sign of life. */
  alive: Map<string, number>;
}

export interface JobModel {
  id: string;
  state: JobState;
  epoch: number;
  attempt: number;
  shape: Shape;
  owner: string | undefined;
  engine: string;
  ticket: string | undefined;
  /** How many tickets were issued for it. */
  dispatches: number;
  intent: Intent | 'release' | undefined;
  restarts: number;
  created_at: number;
  started_at: number | undefined;
  /** Some epoch of it has started. */
  has_started: boolean;
  queue_deadline: number | undefined;
  due_at: number | undefined;
  cause: string;
  exit_code: number | null;
  events: EventType[];
  attempts: { epoch: number; cause: string }[];
  log: LogPieceModel[];
}

/** A piece of output, as the range of its bytes. Place 0 of an epoch is the note that all comes anew. */
interface LogPieceModel {
  epoch: number;
  piece: number;
  from: number;
  to: number;
}

export const createRecord = (mutation?: Mutation): RecordModel => ({
  jobs: new Map(),
  leases: new Map(),
  engines: new Map(),
  engines_seen: new Map(),
  backlog: new Set(),
  dispatched: new Map(),
  tickets: new Map(),
  calls: new Map(),
  due: new Map(),
  queue_deadlines: new Map(),
  beats: 0,
  went_back: false,
  onEvent: () => {},
  mutation,
});

export const engineOf = (record: RecordModel, name: string): EngineModel => {
  const known = record.engines.get(name);
  if (known) return known;
  const made: EngineModel = { reserved: NO_RESOURCES, running: new Set(), alive: new Map() };
  record.engines.set(name, made);
  return made;
};

/** Undefined: refused. */
export const transition = (record: RecordModel, job: JobModel, type: EventType): JobState | undefined => {
  const absorbs = record.mutation !== 'terminal_does_not_absorb';
  const to = applyEvent(job.state, type) ?? (absorbs ? undefined : applyEvent('running', type));
  if (!to) return undefined;
  job.state = to;
  job.events.push(type);
  record.onEvent(job, type);
  return to;
};

export interface Holder {
  id: string;
  epoch: number;
  owner: string;
}

/** The job, where the caller may write of it: the owner of the present epoch of a running job. */
export const findHeld = (record: RecordModel, { id, epoch, owner }: Holder): JobModel | undefined => {
  const job = record.jobs.get(id);
  if (!job) return undefined;
  if (record.mutation === 'terminal_does_not_absorb' && isTerminal(job.state)) return job;
  const epoch_agrees = job.epoch === epoch || record.mutation === 'settle_ignores_epoch';
  const any_owner = record.mutation === 'writes_ignore_owner' || record.mutation === 'settle_ignores_epoch';
  return job.state === 'running' && epoch_agrees && (job.owner === owner || any_owner) ? job : undefined;
};

const dropTicket = (record: RecordModel, job: JobModel): void => {
  if (job.ticket !== undefined) record.tickets.delete(job.ticket);
  job.ticket = undefined;
};

export const leaveQueues = (record: RecordModel, job: JobModel): void => {
  dropTicket(record, job);
  record.backlog.delete(job.id);
  record.dispatched.delete(job.id);
  record.due.delete(job.id);
  record.queue_deadlines.delete(job.id);
  job.due_at = undefined;
};

export const toBacklog = (record: RecordModel, job: JobModel): void => {
  dropTicket(record, job);
  record.dispatched.delete(job.id);
  record.backlog.add(job.id);
};

export interface Ending {
  type: Extract<EventType, 'completed' | 'failed' | 'cancelled' | 'retried' | 'released' | 'lost'>;
  cause: Cause | null;
  exit_code: number | null;
  delay_ms: number;
  max_restarts: number;
}

const toDecided = (record: RecordModel, job: JobModel, ending: Ending): [Ending['type'], string] => {
  if (job.intent === 'cancel' && record.mutation !== 'cancel_does_not_win') return ['cancelled', 'cancelled'];
  if (ending.type === 'lost' && job.restarts + 1 >= ending.max_restarts) return ['failed', 'poison'];
  return [ending.type, ending.cause ?? ''];
};

const addReserved = ({ reserved }: EngineModel, sign: 1 | -1, ask: Resources): Resources => ({
  centicpus: reserved.centicpus + sign * ask.centicpus,
  memory_mb: reserved.memory_mb + sign * ask.memory_mb,
  gpus: reserved.gpus + sign * ask.gpus,
});

export const reserve = (engine: EngineModel, ask: Resources): void => {
  engine.reserved = addReserved(engine, 1, ask);
};

/** Ends the present epoch of a running job; the caller has checked it. */
export const endEpoch = (record: RecordModel, job: JobModel, ending: Ending & { at: number }): JobState | undefined => {
  const [type, cause] = toDecided(record, job, ending);
  const to = transition(record, job, type);
  if (!to) return undefined;
  const engine = engineOf(record, job.engine);
  record.leases.delete(job.id);
  if (record.mutation !== 'terminal_does_not_absorb') job.owner = undefined;
  engine.reserved = addReserved(engine, -1, job.shape.ask);
  engine.running.delete(job.id);
  if (type !== 'released') job.attempts.push({ epoch: job.epoch, cause });
  if (isTerminal(to)) {
    job.cause = cause;
    job.exit_code = ending.exit_code;
    return to;
  }
  job.started_at = undefined;
  job.intent = undefined;
  if (type !== 'retried' && !job.has_started && job.queue_deadline !== undefined) {
    record.queue_deadlines.set(job.id, job.queue_deadline);
  }
  if (type === 'lost') job.restarts += 1;
  if (type === 'lost' && record.mutation === 'restarts_count_as_attempts') job.attempt += 1;
  if (type !== 'retried') {
    toBacklog(record, job);
    return to;
  }
  job.attempt += 1;
  job.restarts = 0;
  job.due_at = ending.at + ending.delay_ms;
  record.due.set(job.id, job.due_at);
  return to;
};
