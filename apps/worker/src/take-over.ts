import { toOutcome } from '@berth/domain';
import { type Adoption, type Claim, isUnavailable } from '@berth/store';
import {
  type Attempt,
  type AttemptContext,
  isStopped,
  noteStart,
  openAttemptOutput,
  type Played,
  toIntent,
  toStopped,
  watchToEnd,
} from './attempt.js';
import { toTimeUp } from './attempt-options.js';
import { MOST_LAYING_SECONDS } from './files/lay-inputs.js';
import type { Hold } from './hold.js';
import { findOwnContainer, isAnswering } from './own-containers.js';
import { type ContainerRuntime, RuntimeFault } from './runtime/container-runtime.js';
import { pause, within } from './waiting.js';

/** An engine that is away, or a broker that cannot say now what is stored, is asked again after so long. */
const ASK_AGAIN_MS = 1_000;
const MOST_TRIES = 30;
const DIGEST_LIMIT_MS = 2_000;
/** The label of a container tells when it was started no better than this. */
const CLOCKS_AGREE_MS = 10_000;

/**
 * Goes on with an epoch that was begun, as far as the engine shows that it came. A container that runs or has ended is followed to its
 * end. One that was only created is discarded and `unbegun` returned, since its maker may not be as dead as it looks and could still start it: a
 * start of what is gone does no harm.
 */
export const takeOver = async (
  attempt: Attempt,
  context: AttemptContext,
  { ran_ms }: Pick<Adoption, 'ran_ms'>,
): Promise<Played | 'left' | 'unbegun'> => {
  const { hold } = attempt;
  const found = await untilAllAnswer(hold, context, () => follow(attempt, context));
  if (found === 'left') return 'left';
  if (found === undefined) {
    const circumstances = { intent: toIntent(hold), deadline_ms: Number.POSITIVE_INFINITY };
    if (ran_ms !== null) return { outcome: toOutcome({ kind: 'removed' }, circumstances), evidence: null };
    return isStopped(hold) ? toStopped(hold) : 'unbegun';
  }
  if (ran_ms === null) attempt.noted = noteStart(attempt, context);
  context.log.info({ container: found.container.id, ran_ms }, 'took over a container');
  const { container, deadline_ms } = found;
  const by_label = toRanMs(hold.claim, deadline_ms);
  // The label leaves time for laying inputs, which may have taken none.
  const laying_ms = hold.claim.spec.inputs?.length ? MOST_LAYING_SECONDS * 1000 : 0;
  const agrees = ran_ms !== null && ran_ms < by_label + CLOCKS_AGREE_MS + laying_ms;
  return watchToEnd(attempt, container, { context, ran_ms: agrees ? ran_ms : by_label, deadline_ms });
};

/** The container goes before the record hears of it: another machine may claim the job at once. */
export const giveUp = async (attempt: Attempt, context: AttemptContext): Promise<Played | 'left'> => {
  const { hold } = attempt;
  const removed = await untilAllAnswer(hold, context, async () => {
    const found = await findOwnContainer(context.runtime, hold.claim);
    await context.leases.confirm(hold);
    if (hold.leave !== undefined || hold.request === 'over') return 'left';
    if (found !== undefined) await context.runtime.open(found.id).remove();
    return 'removed';
  });
  if (removed === 'left') return 'left';
  return { outcome: { kind: 'node_lost', message: 'Its workers died as soon as they had it.' }, evidence: null };
};

/**
 * For how long it has run by this machine's clock: its deadline was set a moment before its start. The broker's clock says it too, where it took
 * note of the start, and to a fraction of a second, but it may have been set meanwhile. Where the two differ much, the shorter time counts:
 * what is let run for too long meets its deadline.
 */
const toRanMs = ({ spec }: Claim, deadline_ms: number): number =>
  Math.max(0, spec.timeout_seconds * 1000 - (toTimeUp(spec, deadline_ms) - Date.now()));

/** Reads on where the store ends, in the container of this epoch; undefined where none was started. */
const follow = async (attempt: Attempt, context: AttemptContext) => {
  const { claim } = attempt.hold;
  const { runtime, logs, leases } = context;
  const found = await findOwnContainer(runtime, claim);
  if (found === undefined) return undefined;
  const container = runtime.open(found.id);
  if (found.state === 'created' && (await container.discard())) return undefined;
  await attempt.output.detach();
  const stored = await logs.readPosition(claim.job_id, claim.epoch);
  attempt.output = openAttemptOutput(claim, context, stored);
  await leases.confirm(attempt.hold);
  if (attempt.hold.leave !== undefined || attempt.hold.request === 'over') return 'left';
  await container.unpause();
  await container.follow(attempt.output.sink, { ...stored, onGap: attempt.output.onGap });
  attempt.container = container;
  attempt.hold.container = container;
  attempt.image_digest ??= await readDigest(runtime, claim.spec.image);
  return { container, deadline_ms: found.labels.deadline * 1000 };
};

/** Null where it is not known soon: nothing waits for a pull here. */
const readDigest = async (runtime: ContainerRuntime, image: string): Promise<string | null> => {
  let digest: string | null = null;
  const resolved = runtime.resolveImage(image).then((found) => {
    digest = found.digest;
  });
  await within(DIGEST_LIMIT_MS, resolved);
  return digest;
};

/**
 * A container may run on an engine that does not answer, so nothing is given up before it does. An engine that answers, and cannot do this
 * one thing however often it is asked, is a fault of the platform.
 */
const untilAllAnswer = async <T>(hold: Hold, context: AttemptContext, look: () => Promise<T>): Promise<T | 'left'> => {
  let tries = 0;
  while (hold.leave === undefined && hold.request !== 'over') {
    try {
      return await look();
    } catch (error) {
      if (await isEngineAtFault(error, context)) tries += 1;
      if (tries >= MOST_TRIES) throw error;
      context.log.warn({ err: error }, 'could not take over a container; trying again');
      await Promise.race([pause(ASK_AGAIN_MS), hold.left]);
    }
  }
  return 'left';
};

/** Whether the engine answers and cannot do what it was asked to. What is gone, and a broker that is away, are no fault. */
const isEngineAtFault = async (error: unknown, { runtime, onEngineFault }: AttemptContext): Promise<boolean> => {
  if (!(error instanceof RuntimeFault)) {
    if (!isUnavailable(error)) throw error;
    return false;
  }
  if (error.code === 'not_found') return false;
  onEngineFault();
  return isAnswering(runtime);
};
