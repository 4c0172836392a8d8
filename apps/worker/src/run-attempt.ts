import {
  type JobSpec,
  judge,
  type Outcome,
  type Profile,
  toArgv,
  toCause,
  toExitCode,
  toFinalState,
  toMessage,
  toOutcome,
} from '@berth/domain';
import type { Claim, Claims, LogStore, Settlement, SettleReply } from '@berth/store';
import type { Logger } from 'pino';
import type { Hold, Leases, Request } from './leases.js';
import { removeOlderEpochs } from './older-epochs.js';
import { type Output, openOutput } from './output.js';
import {
  type Container,
  type ContainerOptions,
  type ContainerRuntime,
  RuntimeFault,
} from './runtime/container-runtime.js';

export interface AttemptContext {
  runtime: ContainerRuntime;
  claims: Claims;
  logs: LogStore;
  leases: Leases;
  node: string;
  /** Marks our containers on the engine: the key prefix of this installation. */
  installation: string;
  logLimitBytes: number;
  profileOf: (className: string) => Profile;
  log: Logger;
}

/** How an attempt ended for the worker. */
export interface AttemptEnd {
  outcome: Outcome;
  /** Undefined: the epoch was somebody else's by then, so nothing was written. */
  reply: SettleReply | undefined;
  /** Settles when the container is gone, or could not be removed; never rejects. */
  removed: Promise<void>;
}

/** A shutting down worker gives its containers so long after TERM; the job is started again elsewhere anyway. */
const RELEASE_GRACE_SECONDS = 2;
/** Beyond its timeout and grace a container may live so long before others of the machine stop it. */
const DEADLINE_SLACK_SECONDS = 10;

/**
 * The story of one attempt: image, container, start, end, outcome, record, clean-up. Whatever happens on the way becomes an Outcome; only
 * a bug throws. The record's settlement is sent right behind the last output on the same connection, so whoever sees the end finds
 * the whole log. The container goes last: until the end is recorded, it is the evidence.
 */
export const runAttempt = async (claim: Claim, context: AttemptContext): Promise<AttemptEnd> => {
  const hold = context.leases.hold(claim);
  const attempt: Attempt = {
    hold,
    output: openOutput({
      job_id: claim.job_id,
      attempt: claim.attempt,
      limitBytes: context.logLimitBytes,
      logs: context.logs,
      log: context.log,
      workloadLines: claim.format === 'workload',
    }),
    image_digest: null,
    started_at: null,
    noted: Promise.resolve(),
    container: undefined,
  };
  try {
    const outcome = await play(attempt, context);
    const stored = attempt.output.close();
    const reply = hold.request === 'lost' ? undefined : await settle(attempt, outcome, context);
    await stored;
    return { outcome, reply, removed: removeQuietly(attempt.container, context.log) };
  } finally {
    hold.end();
  }
};

/** What is known of an attempt so far. */
interface Attempt {
  readonly hold: Hold;
  readonly output: Output;
  image_digest: string | null;
  /** Unix milliseconds by this machine's clock. */
  started_at: number | null;
  /** The record has taken note of the start. */
  noted: Promise<unknown>;
  container: Container | undefined;
}

const play = async (attempt: Attempt, context: AttemptContext): Promise<Outcome> => {
  const { hold } = attempt;
  const { claim } = hold;
  try {
    const image = await unlessRequested(hold, context.runtime.resolveImage(claim.spec.image));
    if (image === 'requested') return toOutcomeOfRequest(hold.request);
    attempt.image_digest = image.digest;
    if (claim.epoch > 1) await removeOlderEpochs(context.runtime, claim);
    const container = await context.runtime.create(toContainerOptions(claim, context));
    attempt.container = container;
    if (hold.request !== undefined) return toOutcomeOfRequest(hold.request);
    await container.start(attempt.output.sink);
    attempt.started_at = Date.now();
    attempt.noted = noteStart(attempt, image.digest, context);
    return await watch(attempt, container);
  } catch (error) {
    return toOutcomeOfFault(error);
  }
};

/** From the start to the end: whoever asks first for an earlier end decides what the end is called. */
const watch = async ({ hold }: Attempt, container: Container): Promise<Outcome> => {
  const { spec } = hold.claim;
  const timer = setTimeout(() => hold.ask('timeout'), spec.timeout_seconds * 1000);
  const ended = container.ended();
  try {
    const first = await Promise.race([ended, hold.requested]);
    if (typeof first !== 'string') return toOutcome(first, toIntent(hold.request));
    await stopFor(first, container, spec);
    return toOutcome(await ended, toIntent(hold.request));
  } finally {
    clearTimeout(timer);
  }
};

const toIntent = (request: Request | undefined) =>
  request === 'cancel' || request === 'timeout' ? request : undefined;

const stopFor = (request: Request, container: Container, spec: JobSpec): Promise<void> => {
  if (request === 'lost') return container.stop(0);
  return container.stop(request === 'release' ? RELEASE_GRACE_SECONDS : spec.stop_grace_seconds);
};

const noteStart = async (attempt: Attempt, digest: string, { claims, log }: AttemptContext): Promise<void> => {
  const { claim } = attempt.hold;
  try {
    const reply = await claims.start(claim, digest);
    if (reply === 'cancel') attempt.hold.ask('cancel');
    if (reply === 'stale') attempt.hold.ask('lost');
  } catch (err) {
    log.warn({ err, job_id: claim.job_id }, 'could not note the start');
  }
};

/** The promise's value, or `requested` when a request comes first. The work then goes on unwatched and is used by the next job. */
const unlessRequested = async <T>(hold: Hold, work: Promise<T>): Promise<T | 'requested'> => {
  work.catch(() => {});
  return Promise.race([work, hold.requested.then(() => 'requested' as const)]);
};

const toOutcomeOfRequest = (request: Request | undefined): Outcome =>
  request === 'cancel' ? { kind: 'cancelled', exit_code: null } : { kind: 'engine_restarted' };

const toOutcomeOfFault = (error: unknown): Outcome => {
  if (!(error instanceof RuntimeFault)) throw error;
  switch (error.code) {
    case 'image_not_found':
    case 'image_pull_failed':
      return { kind: error.code, message: error.message };
    case 'start_failed':
      return { kind: 'start_failed', message: error.message, exit_code: null };
    default:
      return { kind: 'engine_restarted' };
  }
};

const toContainerOptions = (
  { job_id, epoch, attempt, spec, class: className }: Claim,
  context: AttemptContext,
): ContainerOptions => {
  const seconds = spec.timeout_seconds + spec.stop_grace_seconds + DEADLINE_SLACK_SECONDS;
  return {
    name: `berth-${job_id}-e${epoch}`,
    image: spec.image,
    argv: toArgv(spec.command),
    env: spec.env,
    workdir: spec.workdir,
    centicpus: Math.round(spec.cpus * 100),
    memory_mb: spec.memory_mb,
    network: spec.network,
    profile: context.profileOf(className),
    labels: {
      job_id,
      epoch,
      attempt,
      deadline: Math.ceil(Date.now() / 1000) + seconds,
      installation: context.installation,
    },
  };
};

const settle = async (attempt: Attempt, outcome: Outcome, context: AttemptContext): Promise<SettleReply> => {
  const { hold, image_digest, started_at } = attempt;
  const released = hold.request === 'release' && toFinalState(outcome) !== 'completed';
  const verdict = judge(outcome, hold.claim.attempt, hold.claim.spec.max_attempts, Math.random());
  const end = verdict.next === 'end' ? (toFinalState(outcome) as 'completed' | 'failed' | 'cancelled') : verdict.next;
  const settlement: Settlement = {
    type: released ? 'released' : end,
    cause: toCause(outcome),
    exit_code: toExitCode(outcome),
    message: toMessage(outcome),
    delay_ms: verdict.next === 'retried' ? verdict.delay_ms : 0,
    entry: { node: context.node, image_digest, started_at },
  };
  // The settlement follows the note of the start on the same connection; its reply need not be waited for.
  const reply = await context.claims.settle(hold.claim, settlement);
  await attempt.noted;
  return reply;
};

const removeQuietly = async (container: Container | undefined, log: Logger): Promise<void> => {
  await container?.remove().catch((err) => log.warn({ err, container: container.id }, 'could not remove a container'));
};
