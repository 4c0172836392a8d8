import { isTerminal, type Shape } from '@berth/domain';
import { findHeld, type Holder, leaveQueues, type RecordModel, toBacklog, transition } from './record-model.js';

export const accept = (
  record: RecordModel,
  now: number,
  job: { id: string; shape: Shape; queue_timeout_ms?: number | undefined },
): void => {
  const { id, shape } = job;
  const made = {
    id,
    shape,
    state: 'pending' as const,
    epoch: 0,
    attempt: 1,
    owner: undefined,
    engine: '',
    ticket: undefined,
    dispatches: 0,
    intent: undefined,
    restarts: 0,
    created_at: now,
    started_at: undefined,
    has_started: false,
    queue_deadline: job.queue_timeout_ms === undefined ? undefined : now + job.queue_timeout_ms,
    due_at: undefined,
    cause: '',
    exit_code: null,
    events: ['submitted' as const],
    attempts: [],
    log: [],
  };
  record.jobs.set(id, made);
  record.backlog.add(id);
  if (made.queue_deadline !== undefined) record.queue_deadlines.set(id, made.queue_deadline);
  record.onEvent(made, 'submitted');
};

export type CancelReply = { kind: 'cancelled' | 'requested' | 'missing' } | { kind: 'finished'; state: string };

export const cancel = (record: RecordModel, id: string): CancelReply => {
  const job = record.jobs.get(id);
  if (!job) return { kind: 'missing' };
  if (job.state === 'pending') {
    job.intent = 'cancel';
    transition(record, job, 'cancelled');
    leaveQueues(record, job);
    job.cause = 'cancelled';
    return { kind: 'cancelled' };
  }
  if (job.state === 'running') {
    if (job.intent !== 'cancel') {
      job.intent = 'cancel';
      transition(record, job, 'cancel_requested');
    }
    return { kind: 'requested' };
  }
  return job.state === 'cancelled' ? { kind: 'cancelled' } : { kind: 'finished', state: job.state };
};

/** Issues tickets for up to `limit` pending jobs and returns them, to be put into the queue. */
export const dispatch = (record: RecordModel, now: number, limit: number): string[] =>
  [...record.backlog].slice(0, limit).flatMap((id) => {
    const job = record.jobs.get(id);
    if (!job) return [];
    job.dispatches += 1;
    job.ticket = `${id}-${job.dispatches}`;
    record.tickets.set(job.ticket, id);
    record.backlog.delete(id);
    record.dispatched.set(id, now);
    return [job.ticket];
  });

/** Where the ticket that is gone still is the job's own. */
export const redispatch = (record: RecordModel, id: string, ticket: string | undefined): boolean => {
  const job = record.jobs.get(id);
  if (!(job && record.dispatched.has(id)) || job.ticket !== ticket) return false;
  toBacklog(record, job);
  return true;
};

export const releaseDue = (record: RecordModel, now: number): string[] => {
  const ids = [...record.due].filter(([, at]) => at <= now).map(([id]) => id);
  for (const id of ids) {
    const job = record.jobs.get(id);
    record.due.delete(id);
    if (!job) continue;
    job.due_at = undefined;
    toBacklog(record, job);
  }
  return ids;
};

export const failOverdue = (record: RecordModel, now: number): string[] => {
  const ended: string[] = [];
  for (const [id, deadline] of record.queue_deadlines) {
    if (deadline > now) continue;
    record.queue_deadlines.delete(id);
    const job = record.jobs.get(id);
    if (job?.state !== 'pending') continue;
    transition(record, job, 'failed');
    leaveQueues(record, job);
    job.cause = 'queue_timeout';
    ended.push(id);
  }
  return ended;
};

/** The note that all comes again, where an older epoch of the same job has written. */
export const beginAnew = (record: RecordModel, by: Holder): 'stored' | 'stale' => {
  const job = findHeld(record, by);
  if (!job) return 'stale';
  const last = job.log.at(-1);
  if (last && last.epoch < by.epoch) job.log.push({ epoch: by.epoch, piece: 0, from: 0, to: 0 });
  return 'stored';
};

export const append = (
  record: RecordModel,
  by: Holder & { piece: number; from: number; to: number },
): 'stored' | 'stale' => {
  const { id, epoch, piece, from, to } = by;
  const job = record.jobs.get(id);
  const is_held = record.mutation === 'log_ignores_owner' ? job?.epoch === epoch : findHeld(record, by) !== undefined;
  if (!job || !is_held || (isTerminal(job.state) && record.mutation === 'log_ignores_owner')) return 'stale';
  const last = job.log.at(-1);
  const known = last?.epoch === epoch ? last.piece : 0;
  if (piece > known) job.log.push({ epoch, piece, from, to });
  return 'stored';
};

/** Where another worker goes on with the output of a running epoch. */
export const readPosition = (record: RecordModel, id: string, epoch: number): { piece: number; bytes: number } => {
  const pieces = record.jobs.get(id)?.log.filter((one) => one.epoch === epoch) ?? [];
  return { piece: pieces.at(-1)?.piece ?? 0, bytes: pieces.reduce((sum, one) => sum + one.to - one.from, 0) };
};
