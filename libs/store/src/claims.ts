import { randomUUID } from 'node:crypto';
import {
  type EventType,
  type Evidence,
  type Intent,
  type JobSpec,
  type JobState,
  MAX_RESTARTS,
  type Resources,
} from '@berth/domain';
import type { BrokerPast } from './broker-past.js';
import type { WireFormat } from './job-record.js';
import type { Scripts } from './scripts.js';

/** How long a worker's right to an epoch lasts without a renewal. */
export const LEASE_MS = 20_000;
/** How much longer others wait before they take a job away: clocks and scripts are not instant. */
export const LEASE_MARGIN_MS = 5_000;

/** For so long a worker's judgement of the broker holds. */
const JUDGEMENT_MS = 5_000;

/** Who claims: a worker process, on an engine of the given size. Workers of one engine share its ledger. */
export interface Claimant {
  worker: string;
  engine: string;
  node: string;
  capacity: Resources;
}

/** A worker's right to run one epoch of a job: the owner's name goes with every later write, and only the owner's count. */
export interface Claim {
  job_id: string;
  epoch: number;
  owner: string;
  attempt: number;
  class: string;
  spec: JobSpec;
  format: WireFormat;
}

export type ClaimReply =
  | { kind: 'claimed'; claim: Claim }
  | { kind: 'no_room'; ask: Resources }
  | { kind: 'too_big' }
  | { kind: 'gone'; state: string }
  /** The broker is known to have gone back to an older state, since then (Unix ms): nothing is begun. */
  | { kind: 'went_back'; at: number };

/** How an epoch ended. `type` is one of the edges out of `running`. */
export interface Settlement {
  type: Extract<EventType, 'completed' | 'failed' | 'cancelled' | 'retried' | 'released' | 'lost'>;
  cause: string | null;
  exit_code: number | null;
  message: string | null;
  delay_ms: number;
  /** Kept in the job's `attempts`. */
  entry: {
    node: string;
    image_digest: string | null;
    evidence: Evidence | null;
  };
}

export type SettleReply = { kind: 'settled'; state: JobState } | { kind: 'stale'; state: string };
/** `moved`: another worker of the engine owns it now; `over`: the epoch has ended, and its container should not run. */
export type LeaseState = 'held' | 'cancel' | 'moved' | 'over';

/** `release`: its worker was told to kill, and the job goes back to the queue. */
export type RecordedIntent = Intent | 'release';

export type Held = Pick<Claim, 'job_id' | 'epoch' | 'owner'>;

const toEntry = (claim: Claim, settlement: Settlement): string => {
  const { node, ...entry } = settlement.entry;
  const whole = {
    attempt: claim.attempt,
    epoch: claim.epoch,
    node,
    ...entry,
    exit_code: settlement.exit_code,
    ...(settlement.message === null ? {} : { message: settlement.message }),
  };
  return JSON.stringify(whole).slice(0, -1);
};

const toSettleArguments = (claim: Claim, settlement: Settlement): (string | number)[] => [
  settlement.type,
  settlement.cause ?? '',
  settlement.exit_code ?? '',
  settlement.message ?? '',
  settlement.delay_ms,
  MAX_RESTARTS,
  toEntry(claim, settlement),
];

const toClaimReply = (job_id: string, owner: string, reply: string[]): ClaimReply => {
  const [kind, a = '', b = '', c = '', d = '', e = ''] = reply;
  if (kind === 'claimed') {
    const claim = { job_id, owner, epoch: Number(a), attempt: Number(b), class: e, format: d as WireFormat };
    return { kind, claim: { ...claim, spec: JSON.parse(c) as JobSpec } };
  }
  if (kind === 'no_room') return { kind, ask: { centicpus: Number(a), memory_mb: Number(b), gpus: Number(c) } };
  if (kind === 'went_back') return { kind, at: Number(a) };
  return kind === 'too_big' ? { kind } : { kind: 'gone', state: a };
};

export const toPairs = (held: Held[]): (string | number)[] => held.flatMap(({ job_id, epoch }) => [job_id, epoch]);

/** What a worker asks of the record of a job that it claims or owns. Each call is one script; a repeat of any of them is harmless. */
export const createClaims = (scripts: Scripts, past: BrokerPast) => ({
  /** `call` names this call, so that a repeat of it gets the same answer. */
  async claim(job_id: string, by: Claimant, call: string = randomUUID()): Promise<ClaimReply> {
    const { centicpus, memory_mb, gpus } = by.capacity;
    const reply = await scripts.run(
      'claim',
      job_id,
      by.worker,
      by.engine,
      by.node,
      centicpus,
      memory_mb,
      gpus,
      LEASE_MS,
      call,
      past.seen,
    );
    return toClaimReply(job_id, by.worker, reply as string[]);
  },

  /** Notes that the container runs. `cancel`: someone asked to cancel meanwhile; `stale`: the epoch is not ours any more. */
  async start(claim: Held, image_digest: string): Promise<'started' | 'cancel' | 'stale'> {
    const reply = await scripts.run('start', claim.job_id, claim.epoch, claim.owner, image_digest);
    return reply as 'started' | 'cancel' | 'stale';
  },

  /** Records why a container is about to be ended; returns the first that was recorded. */
  async intend({ job_id, epoch, owner }: Held, intent: RecordedIntent): Promise<RecordedIntent | 'stale'> {
    return (await scripts.run('intend', job_id, epoch, owner, intent)) as RecordedIntent | 'stale';
  },

  async settle(claim: Claim, settlement: Settlement): Promise<SettleReply> {
    const { job_id, epoch, owner } = claim;
    const reply = await scripts.run('settle', job_id, epoch, owner, ...toSettleArguments(claim, settlement));
    const [kind, state] = reply as [string, string];
    return kind === 'settled' ? { kind, state: state as JobState } : { kind: 'stale', state };
  },

  /** All of one owner; answers in the order given. */
  async renew(held: Held[]): Promise<LeaseState[]> {
    const [first] = held;
    if (first === undefined) return [];
    return (await scripts.run('renew', first.owner, LEASE_MS, ...toPairs(held))) as LeaseState[];
  },

  /**
   * Takes jobs away from workers that have stopped renewing; returns the jobs' ids. `judged_at` is the broker's time up to which it is known
   * to have answered everyone: if that is too long ago by the time that this runs, it does nothing.
   */
  async expire(judged_at: number, limit = 100): Promise<string[]> {
    return (await scripts.run('expire', LEASE_MARGIN_MS, MAX_RESTARTS, limit, judged_at, JUDGEMENT_MS)) as string[];
  },
});

export type Claims = ReturnType<typeof createClaims>;
