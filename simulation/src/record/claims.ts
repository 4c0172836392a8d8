import { type Cause, fits, type Intent, MAX_RESTARTS, minus, type Resources } from '@berth/domain';
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

/** The most beats that the caller has seen; absent: it does not look. */
type Memory = { seen?: number };

const wentBack = (record: RecordModel, { seen = 0 }: Memory): boolean => {
  record.went_back ||= record.beats < seen;
  record.beats = Math.max(record.beats, seen);
  return record.went_back;
};

export type ClaimReply =
  | { kind: 'claimed'; epoch: number; attempt: number }
  | { kind: 'no_room' | 'too_big' | 'went_back' }
  | { kind: 'gone'; state: string };

export const claim = (
  record: RecordModel,
  now: number,
  by: Who & Memory & { id: string; capacity: Resources; call: string },
): ClaimReply => {
  const job = record.jobs.get(by.id);
  if (job?.state === 'running' && job.claim === by.call && job.owner === by.worker) {
    return { kind: 'claimed', epoch: job.epoch, attempt: job.attempt };
  }
  if (job?.state !== 'pending') return { kind: 'gone', state: job?.state ?? 'missing' };
  if (wentBack(record, by)) return { kind: 'went_back' };
  if (job.due_at !== undefined && job.due_at > now) return { kind: 'gone', state: 'pending' };
  const engine = engineOf(record, by.engine);
  if (!fits(job.ask, by.capacity)) return { kind: 'too_big' };
  const has_room = fits(job.ask, minus(by.capacity, engine.reserved)) || record.mutation === 'claim_ignores_room';
  if (!has_room) return { kind: 'no_room' };
  job.epoch += 1;
  job.owner = by.worker;
  job.engine = by.engine;
  job.claim = by.call;
  transition(record, job, 'claimed');
  reserve(engine, job.ask);
  engine.running.add(job.id);
  leaveQueues(record, job);
  record.leases.set(job.id, now + LEASE_MS);
  return { kind: 'claimed', epoch: job.epoch, attempt: job.attempt };
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
