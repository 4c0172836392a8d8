import { toOutcome } from '@berth/domain';
import { type Adoption, isUnavailable } from '@berth/store';
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
import type { Hold } from './hold.js';
import { findOwnContainer } from './own-containers.js';
import { RuntimeFault } from './runtime/container-runtime.js';
import { pause } from './waiting.js';

/** An engine that is away, or a broker that cannot say now what is stored, is asked again after so long. */
const ASK_AGAIN_MS = 1_000;

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
  return watchToEnd(attempt, found.container, { context, ran_ms: ran_ms ?? 0, deadline_ms: found.deadline_ms });
};

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
  attempt.image_digest ??= await runtime.resolveImage(claim.spec.image).then(
    (image) => image.digest,
    () => null,
  );
  return { container, deadline_ms: found.labels.deadline * 1000 };
};

/** A container may run on an engine that does not answer, so nothing is given up before it does. */
const untilAllAnswer = async <T>(
  hold: Hold,
  { onEngineFault, log }: AttemptContext,
  look: () => Promise<T>,
): Promise<T | 'left'> => {
  for (;;) {
    if (hold.leave !== undefined || hold.request === 'over') return 'left';
    try {
      return await look();
    } catch (error) {
      if (error instanceof RuntimeFault) onEngineFault();
      else if (!isUnavailable(error)) throw error;
      log.warn({ err: error }, 'could not take over a container; trying again');
      await Promise.race([pause(ASK_AGAIN_MS), hold.left]);
    }
  }
};
