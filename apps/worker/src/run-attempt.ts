import type { Outcome } from '@berth/domain';
import type { Adoption, Claim, SettleReply } from '@berth/store';
import type { Logger } from 'pino';
import {
  type Attempt,
  type AttemptContext,
  isStopped,
  noteStart,
  openAttemptOutput,
  type Played,
  toStopped,
  watchToEnd,
} from './attempt.js';
import { createPatience, findJobInputs, layJobInputs, takeOutputs, toPlayedWithoutInputs } from './attempt-files.js';
import { toContainerOptions } from './attempt-options.js';
import type { Hold, Leave } from './hold.js';
import { requireKnownSpec } from './known-spec.js';
import { findOwnContainer, isAnswering, removeOlderEpochs } from './own-containers.js';
import { type Container, type ContainerOptions, RuntimeFault } from './runtime/container-runtime.js';
import { type AttemptEntry, settleAttempt, toSettlement } from './settle-attempt.js';
import { giveUp, takeOver } from './take-over.js';

/** How an attempt ended for the worker: with an outcome, or left as it stands for others. */
export type AttemptEnd =
  | {
      kind: 'ended';
      outcome: Outcome;
      /** Undefined: the epoch was somebody else's by then, so nothing was written. */
      reply: SettleReply | undefined;
      /** Settles when the container is gone, or could not be removed; never rejects. */
      removed: Promise<void>;
    }
  | { kind: 'left'; why: Leave };

/** A container that was made so long ago is too old to be started: its deadline has begun. */
const FRESH_MS = 5_000;

/**
 * The story of one attempt: image, container, start, end, outcome, record, clean-up. Whatever happens on the way becomes an
 * Outcome; it throws only where the record refuses to take note of the end. The end is recorded behind the last
 * output and the files that the container left, so whoever sees the end finds both. The container goes last: until the end is recorded, it is the evidence.
 *
 * With an adoption the story begins in the middle: another worker of this engine had the epoch before, and came as far as the engine
 * shows. The same holds where it was this worker that lost the engine's answer to a start.
 *
 * An attempt is left, not ended, when the worker shuts down or another has taken it over: then nothing of it is touched any more.
 */
export const runAttempt = async (claim: Claim, context: AttemptContext, adoption?: Adoption): Promise<AttemptEnd> => {
  const hold = context.leases.hold(claim);
  if (adoption?.intent !== undefined) hold.ask(adoption.intent);
  hold.timed_out = adoption?.intent === 'timeout';
  const attempt: Attempt = {
    hold,
    output: openAttemptOutput(claim, context),
    image_digest: adoption?.image_digest ?? null,
    noted: Promise.resolve(),
    container: undefined,
    begun: false,
  };
  try {
    const played = await play(attempt, context, adoption);
    const artifacts = played === 'left' ? played : await takeOutputs(attempt, played, context);
    if (played === 'left' || artifacts === 'left') {
      if (hold.request === 'over') await removeOwn(hold, context);
      await attempt.output.detach();
      return { kind: 'left', why: hold.leave ?? 'moved' };
    }
    await attempt.output.close();
    const reply = await settle(attempt, { ...played, artifacts }, context);
    return { kind: 'ended', outcome: played.outcome, reply, removed: removeIfOver(attempt, reply, context.log) };
  } finally {
    hold.end();
  }
};

const play = async (attempt: Attempt, context: AttemptContext, adoption?: Adoption): Promise<Played | 'left'> => {
  try {
    return adoption ? await goOn(attempt, context, adoption) : await begin(attempt, context);
  } catch (error) {
    if (error instanceof RuntimeFault) {
      context.log.warn({ err: error }, 'the attempt met a fault');
      if (isEngines(error)) context.onEngineFault();
      const has_begun = attempt.begun || typeof adoption?.ran_ms === 'number';
      const unbegun = !has_begun && (await isEngineUnfit(error, context)) && attempt.hold.request === undefined;
      return { outcome: toOutcomeOfFault(error), evidence: null, unbegun };
    }
    const without_inputs = toPlayedWithoutInputs(error);
    if (without_inputs !== undefined) {
      context.log.warn({ err: error }, 'the inputs of a job could not be laid');
      return without_inputs;
    }
    context.log.error({ err: error }, 'a bug in the worker ended an attempt; the job is started again');
    return { outcome: { kind: 'engine_restarted' }, evidence: null };
  }
};

/**
 * Whether the engine is away, or is there and cannot start any container at all: its disk is full, say. That costs a job which has not begun
 * nothing, and no more are taken until it is over. An engine that only refuses this one does, as every platform fault: it would refuse
 * again and again, and the job would go round for ever.
 */
const isEngineUnfit = async (fault: RuntimeFault, { runtime, onEngineFault }: AttemptContext) => {
  if (!isEngines(fault) && !fault.retryable) return false;
  const unfit = !(await isAnswering(runtime)) || !(await runtime.isFit());
  if (unfit && !isEngines(fault)) onEngineFault();
  return unfit;
};

/** Neither the job nor a registry is to blame. */
const isEngines = ({ code, retryable }: RuntimeFault): boolean =>
  code === 'engine_unavailable' || (code === 'start_failed' && retryable);

const goOn = async (attempt: Attempt, context: AttemptContext, adoption: Adoption): Promise<Played | 'left'> => {
  if (adoption.doomed) return giveUp(attempt, context);
  const played = await takeOver(attempt, context, adoption);
  return played === 'unbegun' ? begin(attempt, context) : played;
};

/** From the image to the end. Up to the start, an engine that fails only costs the epoch: nothing of it can run later. */
const begin = async (attempt: Attempt, context: AttemptContext): Promise<Played | 'left'> => {
  const { hold } = attempt;
  const { claim } = hold;
  const { runtime } = context;
  requireKnownSpec(claim.spec);
  const image = await unlessStopped(hold, runtime.resolveImage(claim.spec.image));
  if (image === 'stopped') return toStopped(hold);
  attempt.image_digest = image.digest;
  if (claim.epoch > 1) await clearWay(claim, context);
  const made = await makeContainer(attempt, context);
  if (made === 'stopped') return toStopped(hold);
  const { container, deadline_ms } = made;
  try {
    await container.start(attempt.output.sink, attempt.output.onGap);
  } catch (error) {
    if (!(error instanceof RuntimeFault) || error.code !== 'engine_unavailable') throw error;
    return goOnAfterFault(attempt, context, error);
  }
  attempt.noted = noteStart(attempt, context);
  return watchToEnd(attempt, container, { context, ran_ms: 0, deadline_ms });
};

/**
 * The engine did not answer to the start, so it shows what became of it. Where nothing did, the epoch is lost and not begun again: a
 * container that takes its engine along with each start must not have its way for ever.
 */
const goOnAfterFault = async (attempt: Attempt, context: AttemptContext, fault: RuntimeFault) => {
  context.onEngineFault();
  context.log.warn({ err: fault }, 'the engine did not answer to a start; looking for what became of it');
  const played = await takeOver(attempt, context, { ran_ms: null });
  if (played !== 'unbegun') return played;
  return { outcome: toOutcomeOfFault(fault), evidence: null };
};

/** What an earlier epoch left: its container must be gone before ours is made, and its output is told apart from ours. */
const clearWay = async (claim: Claim, { runtime, logs, log }: AttemptContext): Promise<void> => {
  await removeOlderEpochs(runtime, claim);
  await logs.beginAnew(claim).catch((err) => log.warn({ err }, 'could not note that a job begins anew'));
};

/**
 * A container that is ours to start: by the record the epoch was ours a moment ago, and nobody had asked to cancel. Its deadline counts from
 * its making, so one that waited long for the record's answer is made anew, and asked for again.
 */
const makeContainer = async (attempt: Attempt, context: AttemptContext) => {
  const { hold } = attempt;
  const inputs = await findJobInputs(hold, context);
  if (inputs === 'stopped') return 'stopped';
  const mayAskAgain = createPatience();
  for (;;) {
    const options = toContainerOptions(hold.claim, context, inputs.limit_seconds);
    const container = await createOwn(hold, options, context);
    if (container === 'stopped') return 'stopped';
    const made = performance.now();
    attempt.container = container;
    hold.container = container;
    const laid = await layJobInputs(hold, container, { inputs, mayAskAgain }, context);
    if (laid === 'stopped' || !(await isOurs(hold, context))) return 'stopped';
    const is_fresh = performance.now() - made < FRESH_MS + inputs.limit_seconds * 1000;
    if (laid === 'laid' && is_fresh) return { container, deadline_ms: options.labels.deadline * 1000 };
    await container.discard();
  }
};

/** A name that is taken was taken by us: the answer was lost, or the epoch had another owner then. What was not started goes. */
const createOwn = async (
  hold: Hold,
  options: ContainerOptions,
  context: AttemptContext,
): Promise<Container | 'stopped'> => {
  const { runtime } = context;
  try {
    return await runtime.create(options);
  } catch (error) {
    if (!(error instanceof RuntimeFault) || error.code !== 'name_taken') throw error;
    if (!(await isOurs(hold, context))) return 'stopped';
    const found = await findOwnContainer(runtime, hold.claim);
    if (found !== undefined && !(await runtime.open(found.id).discard())) throw error;
    return runtime.create(options);
  }
};

/** By the record, just now; whoever had the epoch taken from him must neither start nor remove anything of it. */
const isOurs = async (hold: Hold, { leases }: AttemptContext): Promise<boolean> =>
  (await unlessStopped(hold, leases.confirm(hold))) !== 'stopped' && !isStopped(hold);

/** The promise's value, or `stopped` when a request comes first. The work then goes on unwatched and is used by the next job. */
const unlessStopped = async <T>(hold: Hold, work: Promise<T>): Promise<T | 'stopped'> => {
  work.catch(() => {});
  return Promise.race([work, Promise.race([hold.requested, hold.left]).then(() => 'stopped' as const)]);
};

const toOutcomeOfFault = ({ code, message, exit_code, retryable }: RuntimeFault): Outcome => {
  switch (code) {
    case 'image_not_found':
    case 'image_pull_failed':
      return { kind: code, message };
    case 'start_failed':
      return retryable ? { kind: 'engine_restarted', message } : { kind: code, message, exit_code };
    default:
      return { kind: 'engine_restarted', message };
  }
};

/** The epoch has ended without us: its container should not run, and the next epoch may begin elsewhere at any moment. */
const removeOwn = async (hold: Hold, { runtime, log }: AttemptContext): Promise<void> => {
  const { job_id } = hold.claim;
  try {
    const found = await findOwnContainer(runtime, hold.claim);
    if (found !== undefined) await runtime.open(found.id).remove();
  } catch (err) {
    log.warn({ err, job_id }, 'could not remove the container of an epoch that is over; the next pass tries again');
  }
};

type Kept = Played & Pick<AttemptEntry, 'artifacts'>;

const settle = async (attempt: Attempt, played: Kept, context: AttemptContext): Promise<SettleReply | undefined> => {
  const { hold, image_digest } = attempt;
  const released = hold.request === 'release' || played.unbegun === true;
  const entry = { ...played, node: context.node, image_digest, released, chance: Math.random() };
  // The settlement follows the note of the start on the same connection; its reply need not be waited for.
  const reply = await settleAttempt(hold, toSettlement(hold, entry), context);
  await attempt.noted;
  return reply;
};

/** Where the end was not ours to write, the container may be another worker's by now: whoever reconciles finds what nobody owns. */
const removeIfOver = async (
  { hold, container }: Attempt,
  reply: SettleReply | undefined,
  log: Logger,
): Promise<void> => {
  if (reply?.kind !== 'settled' && hold.request !== 'over') return;
  await container?.remove().catch((err) => log.warn({ err, container: container.id }, 'could not remove a container'));
};
