import { type ExitReport, type JobSpec, type Outcome, type Profile, toOutcome } from '@berth/domain';
import type { Claim, Claims, LogStore, SettleReply } from '@berth/store';
import type { Logger } from 'pino';
import { toProgram } from './kept-format.js';
import type { Hold, Leases, Request } from './leases.js';
import { removeOlderEpochs } from './older-epochs.js';
import { type Output, openOutput } from './output.js';
import {
  type Container,
  type ContainerOptions,
  type ContainerRuntime,
  RuntimeFault,
} from './runtime/container-runtime.js';
import { settleAttempt, toSettlement } from './settle-attempt.js';
import { pause } from './waiting.js';

export interface AttemptContext {
  runtime: ContainerRuntime;
  claims: Claims;
  logs: LogStore;
  leases: Leases;
  node: string;
  /** Marks our containers on the engine: the name of this installation. */
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
/** An engine that could not stop a container is asked again after so long. */
const STOP_AGAIN_MS = 1_000;

/**
 * The story of one attempt: image, container, start, end, outcome, record, clean-up. Whatever happens on the way becomes an
 * Outcome; it throws only where the record refuses to take note of the end, and the container is removed even then. The record's
 * settlement is sent right behind the last output on the same connection, so whoever sees the end finds the whole log. The
 * container goes last: until the end is recorded, it is the evidence.
 */
export const runAttempt = async (claim: Claim, context: AttemptContext): Promise<AttemptEnd> => {
  const hold = context.leases.hold(claim);
  const attempt: Attempt = {
    hold,
    output: openOutput({
      job_id: claim.job_id,
      epoch: claim.epoch,
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
    const reply = await settle(attempt, outcome, context);
    await stored;
    return { outcome, reply, removed: removeQuietly(attempt.container, context.log) };
  } catch (error) {
    await removeQuietly(attempt.container, context.log);
    throw error;
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
    if (claim.epoch > 1) await clearWay(claim, context);
    const container = await context.runtime.create(toContainerOptions(claim, context));
    attempt.container = container;
    if (hold.request !== undefined) return toOutcomeOfRequest(hold.request);
    await container.start(attempt.output.sink);
    attempt.started_at = Date.now();
    attempt.noted = noteStart(attempt, image.digest, context);
    return await watch(attempt, container, context.log);
  } catch (error) {
    if (error instanceof RuntimeFault) {
      context.log.warn({ err: error }, 'the attempt met a fault');
      return toOutcomeOfFault(error);
    }
    context.log.error({ err: error }, 'a bug in the worker ended an attempt; the job is started again');
    return { kind: 'engine_restarted' };
  }
};

/** What an earlier epoch left: its container must be gone before ours is made, and its output is told apart from ours. */
const clearWay = async (claim: Claim, { runtime, logs, log }: AttemptContext): Promise<void> => {
  await removeOlderEpochs(runtime, claim);
  await logs.beginAnew(claim.job_id, claim).catch((err) => log.warn({ err }, 'could not note that a job begins anew'));
};

/** From the start to the end: whoever asks first for an earlier end decides what the end is called. */
const watch = async ({ hold }: Attempt, container: Container, log: Logger): Promise<Outcome> => {
  const { spec } = hold.claim;
  const timer = setTimeout(() => hold.ask('timeout'), spec.timeout_seconds * 1000);
  const ended = container.ended();
  const stop = (why: Request) => stopUntilEnded(container, { grace_seconds: toGraceSeconds(why, spec), ended, log });
  try {
    const first = await Promise.race([ended, hold.requested]);
    if (typeof first !== 'string') return toOutcome(first, toIntent(hold.request));
    void stop(first);
    void hold.urgent.then((why) => (why === first ? undefined : stop(why)));
    return toOutcome(await ended, toIntent(hold.request));
  } finally {
    clearTimeout(timer);
  }
};

const toIntent = (request: Request | undefined) =>
  request === 'cancel' || request === 'timeout' ? request : undefined;

const toGraceSeconds = (request: Request, spec: JobSpec): number => {
  if (request === 'lost') return 0;
  return request === 'release' ? Math.min(RELEASE_GRACE_SECONDS, spec.stop_grace_seconds) : spec.stop_grace_seconds;
};

interface Stopping {
  grace_seconds: number;
  ended: Promise<ExitReport>;
  log: Logger;
}

/** Never rejects: an engine that fails to stop a container is asked again for as long as it has not ended. */
const stopUntilEnded = async (container: Container, { grace_seconds, ended, log }: Stopping): Promise<void> => {
  const over = ended.then(
    () => true,
    () => true,
  );
  do {
    try {
      return await container.stop(grace_seconds);
    } catch (err) {
      log.warn({ err, container: container.id }, 'could not stop a container; trying again');
    }
  } while (!(await Promise.race([over, pause(STOP_AGAIN_MS).then(() => false)])));
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

const toOutcomeOfFault = ({ code, message, exit_code }: RuntimeFault): Outcome => {
  switch (code) {
    case 'image_not_found':
    case 'image_pull_failed':
      return { kind: code, message };
    case 'start_failed':
      return { kind: code, message, exit_code };
    default:
      return { kind: 'engine_restarted', message };
  }
};

const toContainerOptions = (claim: Claim, context: AttemptContext): ContainerOptions => {
  const { job_id, epoch, attempt, spec, class: className } = claim;
  const seconds = spec.timeout_seconds + spec.stop_grace_seconds + DEADLINE_SLACK_SECONDS;
  return {
    name: `berth-${job_id}-e${epoch}`,
    image: spec.image,
    ...toProgram(claim, context.node),
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

const settle = async (
  attempt: Attempt,
  outcome: Outcome,
  context: AttemptContext,
): Promise<SettleReply | undefined> => {
  const { hold, image_digest, started_at } = attempt;
  const released = hold.request === 'release';
  const entry = { outcome, node: context.node, image_digest, started_at, released, chance: Math.random() };
  // The settlement follows the note of the start on the same connection; its reply need not be waited for.
  const reply = await settleAttempt(hold, toSettlement(hold, entry), context);
  await attempt.noted;
  return reply;
};

const removeQuietly = async (container: Container | undefined, log: Logger): Promise<void> => {
  await container?.remove().catch((err) => log.warn({ err, container: container.id }, 'could not remove a container'));
};
