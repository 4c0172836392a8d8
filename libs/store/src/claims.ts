import { randomUUID } from 'node:crypto';
import {
  type EventType,
  type Evidence,
  type Gpu,
  type Intent,
  type JobSpec,
  type JobState,
  MAX_RESTARTS,
  type NodePlace,
  type Resources,
  toGpuNames,
  type Usage,
} from '@berth/domain';
import type { BrokerPast } from './broker-past.js';
import type { ArtifactSummary } from './files/artifact-manifest.js';
import type { WireFormat } from './job-record.js';
import type { Scripts } from './scripts.js';
import { toSpec } from './spec-text.js';

/** How long a worker's right to an epoch lasts without a renewal. */
export const LEASE_MS = 20_000;
/** How much longer others wait before they take a job away: clocks and scripts are not instant. */
export const LEASE_MARGIN_MS = 5_000;

/** For so long a worker's judgement of the broker holds. */
const JUDGEMENT_MS = 5_000;

/** Who claims: a worker process, on an engine of the given size. Workers of one engine share its ledger. */
export interface Claimant extends NodePlace {
  worker: string;
  engine: string;
  capacity: Resources;
  gpus: Gpu[];
}

/** A worker's right to run one epoch of a job: the owner's name goes with every later write, and only the owner's count. */
export interface Claim {
  job_id: string;
  epoch: number;
  owner: string;
  attempt: number;
  class: string;
  user: string;
  spec: JobSpec;
  format: WireFormat;
  /** The GPUs that are its own, or of which a slice is. */
  gpu_uuids: string[];
}

/**
 * `none`: nothing that waits can run on this machine now. `gone`: the ticket is of no use any more, or the job is not pending. `went_back`:
 * the broker is known to have gone back to an older state, since then (Unix ms); nothing is begun.
 */
export type ClaimReply =
  | { kind: 'claimed'; claim: Claim }
  | { kind: 'none' }
  | { kind: 'gone'; state: string }
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
    artifacts?: ArtifactSummary;
  };
  /** Absent: what was noted last counts. */
  usage?: Usage | undefined;
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
  settlement.usage ? JSON.stringify(settlement.usage) : '',
];

const toClaimReply = (owner: string, reply: string[]): ClaimReply => {
  const [kind, job_id = '', epoch, attempt, spec = '', format, className = '', user = '', gpus = ''] = reply;
  if (kind === 'none') return { kind };
  if (kind === 'went_back') return { kind, at: Number(job_id) };
  if (kind === 'gone') return { kind, state: job_id };
  const claim = { job_id, owner, epoch: Number(epoch), attempt: Number(attempt), class: className, user };
  const gpu_uuids = gpus === '' ? [] : gpus.split(',');
  return {
    kind: 'claimed',
    claim: { ...claim, format: format as WireFormat, spec: toSpec(spec), gpu_uuids },
  };
};

/** What the scheduler has to know of a machine beside its room, as the script reads it. */
const toMachine = ({ labels, region, datacenter, gpus }: Claimant): string =>
  JSON.stringify({
    l: labels,
    r: region,
    d: datacenter,
    g: gpus.map((gpu) => ({ u: gpu.uuid, n: toGpuNames(gpu.name), m: gpu.memory_mb })),
  });

export const toPairs = (held: Held[]): (string | number)[] => held.flatMap(({ job_id, epoch }) => [job_id, epoch]);

export interface UsageSample {
  held: Held;
  usage: Usage;
}

/** Notes what running jobs of one owner have used so far; returns for how many. Those that are another's by now are left alone. */
const noteUsage = async (scripts: Scripts, samples: UsageSample[]): Promise<number> => {
  const [first] = samples;
  if (first === undefined) return 0;
  const triples = samples.flatMap(({ held, usage }) => [held.job_id, held.epoch, JSON.stringify(usage)]);
  return (await scripts.run('usage', first.held.owner, ...triples)) as number;
};

interface Wanted {
  className: string;
  ticket: string;
  job_id: string;
  call: string;
  from: string;
}

interface Asking {
  scripts: Scripts;
  past: BrokerPast;
}

const look = async ({ scripts, past }: Asking, what: Wanted, by: Claimant): Promise<string[]> =>
  (await scripts.run(
    'claim',
    what.className,
    what.ticket,
    what.job_id,
    by.worker,
    by.engine,
    by.node,
    by.capacity.centicpus,
    by.capacity.memory_mb,
    LEASE_MS,
    what.call,
    toMachine(by),
    what.from,
    past.seen,
  )) as string[];

/** A look among very many shapes is made in several calls, so that none of them holds the broker up. */
const claim = async (asking: Asking, what: Omit<Wanted, 'from'>, by: Claimant): Promise<ClaimReply> => {
  for (let from = '0:0'; ; ) {
    const reply = await look(asking, { ...what, from }, by);
    if (reply[0] !== 'more') return toClaimReply(by.worker, reply);
    from = reply[1] ?? '0:0';
  }
};

/** What a worker asks of the record of a job that it claims or owns. Each call is one script; a repeat of any of them is harmless. */
export const createClaims = (scripts: Scripts, past: BrokerPast) => {
  return {
    /**
     * For whoever has drawn a ticket: the best of the class's jobs for this machine. `call` names this call, so that a repeat of it gets the
     * same answer.
     */
    draw: (className: string, ticket: string, by: Claimant, call: string = randomUUID()): Promise<ClaimReply> =>
      claim({ scripts, past }, { className, ticket, job_id: '', call }, by),

    /** One job, if this machine can run it now: for a caller that has chosen by itself. */
    claim: (job_id: string, by: Claimant, call: string = randomUUID()): Promise<ClaimReply> =>
      claim({ scripts, past }, { className: '', ticket: '', job_id, call }, by),

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

    noteUsage: (samples: UsageSample[]) => noteUsage(scripts, samples),

    /**
     * Takes jobs away from workers that have stopped renewing; returns the jobs' ids. `judged_at` is the broker's time up to which it is known
     * to have answered everyone: if that is too long ago by the time that this runs, it does nothing.
     */
    async expire(judged_at: number, limit = 100): Promise<string[]> {
      return (await scripts.run('expire', LEASE_MARGIN_MS, MAX_RESTARTS, limit, judged_at, JUDGEMENT_MS)) as string[];
    },
  };
};

export type Claims = ReturnType<typeof createClaims>;
