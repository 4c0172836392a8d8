import {
  type Bucket,
  type Cause,
  DEFAULT_PLACE,
  type Intent,
  LOCAL_USER,
  MAX_RESTARTS,
  type MachineView,
  NO_RESOURCES,
  NO_USE,
  pick,
  type Resources,
  toQueueScore,
  toShapeText,
} from '@berth/domain';
import {
  type Ending,
  endEpoch,
  engineOf,
  findHeld,
  type Holder,
  type JobModel,
  leaveQueues,
  type RecordModel,
  reserve,
  toBacklog,
  transition,
} from './record-model.js';

export const LEASE_MS = 20_000;
export const LEASE_MARGIN_MS = 5_000;
const SILENT_MS = 3_000;
export const LET_GO_MS = 300_000;
const ENGINE_REMEMBERED_MS = 600_000;
const SILENT_NAMED_MS = 60_000;

export interface Who {
  worker: string;
  engine: string;
}

export type DrawReply =
  | { kind: 'claimed'; id: string; epoch: number; attempt: number }
  | { kind: 'none' | 'went_back' }
  | { kind: 'gone' };

/** The most beats that the caller has seen; absent: it does not look. */
type Memory = { seen?: number };

const wentBack = (record: RecordModel, { seen = 0 }: Memory): boolean => {
  record.went_back ||= record.beats < seen;
  record.beats = Math.max(record.beats, seen);
  return record.went_back;
};

const PRIORITY = 50;
const CLASS = 'small';

/** The one user's jobs that wait, in the order of the pick. */
const toBucket = (record: RecordModel): Bucket => {
  const bucket: Bucket = { user: LOCAL_USER, rank: NO_USE, queues: [] };
  for (const id of [...record.backlog, ...record.dispatched.keys()]) {
    const job = record.jobs.get(id);
    if (!job) continue;
    const text = toShapeText(job.shape);
    const known = bucket.queues.find((one) => one.text === text);
    const queued = { job_id: id, score: toQueueScore(PRIORITY, job.created_at) };
    if (known) known.jobs.push(queued);
    else bucket.queues.push({ text, shape: job.shape, jobs: [queued] });
  }
  for (const { jobs } of bucket.queues) jobs.sort((a, b) => a.score - b.score || (a.job_id < b.job_id ? -1 : 1));
  return bucket;
};

const toMachine = (record: RecordModel, by: Who & { capacity: Resources }): MachineView => ({
  ...{ node: by.engine, engine: by.engine, capacity: by.capacity },
  ...{ labels: {}, region: DEFAULT_PLACE, datacenter: DEFAULT_PLACE, gpus: [], gpu_holds: [], drained: false },
  reserved: record.mutation === 'claim_ignores_room' ? NO_RESOURCES : engineOf(record, by.engine).reserved,
});

const pickFor = (record: RecordModel, at: number, by: Who & { capacity: Resources }): JobModel | undefined => {
  const snapshot = { at, buckets: { [CLASS]: [toBucket(record)] }, machines: [], quotas: {}, tallies: {} };
  const found = pick(snapshot, CLASS, toMachine(record, by));
  return found && record.jobs.get(found.job_id);
};

/** The job that the used ticket was issued for gets the ticket of the one that was drawn with it, or waits for another. */
const exchange = (record: RecordModel, ticket: string, drawn: JobModel): void => {
  const issued_for = record.jobs.get(record.tickets.get(ticket) ?? '');
  if (issued_for && issued_for !== drawn) {
    const { ticket: passed_on } = drawn;
    drawn.ticket = undefined;
    issued_for.ticket = undefined;
    if (passed_on === undefined) {
      toBacklog(record, issued_for);
    } else if (record.mutation !== 'ticket_is_not_passed_on') {
      issued_for.ticket = passed_on;
      record.tickets.set(passed_on, issued_for.id);
    }
  }
  record.tickets.delete(ticket);
};

const toClaimed = ({ id, epoch, attempt }: JobModel): DrawReply => ({ kind: 'claimed', id, epoch, attempt });

export const draw = (
  record: RecordModel,
  now: number,
  by: Who & Memory & { ticket: string; capacity: Resources; call: string },
): DrawReply => {
  const answered = record.calls.get(by.call);
  const before = record.jobs.get(answered?.id ?? '');
  if (before && before.owner === by.worker && before.epoch === answered?.epoch) return toClaimed(before);
  if (!record.tickets.has(by.ticket)) return { kind: 'gone' };
  if (wentBack(record, by)) return { kind: 'went_back' };
  const job = pickFor(record, now, by);
  if (!job) return { kind: 'none' };
  exchange(record, by.ticket, job);
  const engine = engineOf(record, by.engine);
  job.epoch += 1;
  job.owner = by.worker;
  job.engine = by.engine;
  record.calls.set(by.call, { id: job.id, epoch: job.epoch });
  transition(record, job, 'claimed');
  reserve(engine, job.shape.ask);
  engine.running.add(job.id);
  leaveQueues(record, job);
  record.leases.set(job.id, now + LEASE_MS);
  return toClaimed(job);
};

export const start = (record: RecordModel, now: number, by: Holder): 'started' | 'cancel' | 'stale' => {
  const job = findHeld(record, by);
  if (!job) return 'stale';
  if (job.started_at === undefined) {
    job.started_at = now;
    job.has_started = true;
    transition(record, job, 'started');
  }
  return job.intent === 'cancel' ? 'cancel' : 'started';
};

export type LeaseState = 'held' | 'cancel' | 'moved' | 'over';

export const renew = (record: RecordModel, now: number, held: Holder[]): LeaseState[] =>
  held.map((one) => {
    const job = findHeld(record, one);
    if (job) {
      record.leases.set(job.id, now + LEASE_MS);
      return job.intent === 'cancel' ? 'cancel' : 'held';
    }
    const present = record.jobs.get(one.id);
    return present?.state === 'running' && present.epoch === one.epoch ? 'moved' : 'over';
  });

const isAdoptable = (record: RecordModel, job: JobModel, now: number): boolean => {
  if (job.owner === undefined) return true;
  const seen = engineOf(record, job.engine).alive.get(job.owner) ?? 0;
  return now - seen > SILENT_MS || (record.leases.get(job.id) ?? 0) < now;
};

export interface AdoptionModel {
  epoch: number;
  attempt: number;
  ran_ms: number | null;
  intent: JobModel['intent'];
}

export const adopt = (
  record: RecordModel,
  now: number,
  by: Who & Memory & { id: string },
): AdoptionModel | 'held' | { gone: string } => {
  const job = record.jobs.get(by.id);
  if (job?.state !== 'running' || job.engine !== by.engine) return { gone: job?.state ?? 'missing' };
  if (wentBack(record, by) && job.started_at === undefined) return 'held';
  if (job.owner !== by.worker) {
    if (!isAdoptable(record, job, now)) return 'held';
    job.owner = by.worker;
    transition(record, job, 'adopted');
  }
  record.leases.set(job.id, now + LEASE_MS);
  const ran_ms = job.started_at === undefined ? null : Math.max(0, now - job.started_at);
  return { epoch: job.epoch, attempt: job.attempt, ran_ms, intent: job.intent };
};

/** Those too that the asker owns and does not renew, because an answer to it was lost. */
export const orphans = (record: RecordModel, now: number, engine: string): string[] =>
  [...engineOf(record, engine).running].filter((id) => {
    const job = record.jobs.get(id);
    return job?.state === 'running' && isAdoptable(record, job, now);
  });

export const letGo = (record: RecordModel, now: number, by: Who & { held: Holder[] }): number => {
  let count = 0;
  for (const one of by.held) {
    const job = findHeld(record, one);
    if (!job) continue;
    job.owner = undefined;
    record.leases.set(job.id, now + LET_GO_MS);
    count += 1;
  }
  engineOf(record, by.engine).alive.delete(by.worker);
  return count;
};

export const intend = (
  record: RecordModel,
  by: Holder & { intent: Intent | 'release' },
): Intent | 'release' | 'stale' => {
  const job = findHeld(record, by);
  if (!job) return 'stale';
  job.intent ??= by.intent;
  return job.intent;
};

export interface PulseModel {
  /** The record's time. */
  at: number;
  other_engines: number;
  beats: number;
  went_back: boolean;
  silent: string[];
}

export const beat = (record: RecordModel, now: number, by: Who & Memory): PulseModel => {
  const { alive } = engineOf(record, by.engine);
  alive.set(by.worker, now);
  record.engines_seen.set(by.engine, now);
  for (const [engine, seen] of record.engines_seen) {
    if (seen <= now - ENGINE_REMEMBERED_MS) record.engines_seen.delete(engine);
  }
  const silent = [...alive].filter(([, seen]) => seen < now - SILENT_MS).map(([worker]) => worker);
  for (const [worker, seen] of alive) if (seen <= now - SILENT_NAMED_MS) alive.delete(worker);
  const went_back = wentBack(record, by);
  record.beats += 1;
  return { at: now, other_engines: record.engines_seen.size - 1, beats: record.beats, went_back, silent };
};

export type SettleReply = { kind: 'settled' | 'stale'; state: string };

export const settle = (
  record: RecordModel,
  now: number,
  by: Holder & { ending: Omit<Ending, 'max_restarts'> },
): SettleReply => {
  const job = findHeld(record, by);
  if (!job) return { kind: 'stale', state: record.jobs.get(by.id)?.state ?? 'missing' };
  const to = endEpoch(record, job, { ...by.ending, max_restarts: MAX_RESTARTS, at: now });
  return to ? { kind: 'settled', state: to } : { kind: 'stale', state: job.state };
};

const TOLD_LATELY_MS = 5_000;
const LOST = { type: 'lost', cause: 'node_lost' satisfies Cause, exit_code: null, delay_ms: 0 } as const;

/**
 * `told_at`: the time that the caller's last answered beat brought from the record. A call that was on its way while the record stood
 * still would be heard before those whose leases seem to have lapsed meanwhile; so it is not heard at all.
 */
export const expire = (record: RecordModel, now: number, told_at: number): string[] => {
  const is_old = now - told_at > TOLD_LATELY_MS;
  if (is_old && record.mutation !== 'expire_after_standstill' && record.mutation !== 'expire_does_not_wait') return [];
  const margin_ms = record.mutation === 'expire_does_not_wait' ? 0 : LEASE_MARGIN_MS;
  const ids = [...record.leases].filter(([, until]) => until <= now - margin_ms).map(([id]) => id);
  for (const id of ids) {
    const job = record.jobs.get(id);
    if (job?.state === 'running') endEpoch(record, job, { ...LOST, max_restarts: MAX_RESTARTS, at: now });
    else record.leases.delete(id);
  }
  return ids;
};
