import { toCause, toExitCode } from '@berth/domain';
import type { Delivery } from '@berth/queue';
import type { Adoption, Claim } from '@berth/store';
import type { WorkerContext } from './context.js';
import { runAttempt } from './run-attempt.js';

/** Where a claim comes from: a message, another worker, or a caller that waits for it. */
interface Origin {
  delivery?: Delivery;
  adoption?: Adoption;
}

export interface RunningAttempts {
  /** Settles when this worker is done with it; never rejects. */
  run(claim: Claim, origin?: Origin): Promise<void>;
  /** Settles when nothing runs any more. */
  idle(): Promise<void>;
  /** What this worker, shutting down, has left to others. */
  readonly left: Claim[];
}

export const createRunningAttempts = (context: WorkerContext): RunningAttempts => {
  const running = new Set<Promise<void>>();
  const left: Claim[] = [];
  return {
    left,
    run(claim, origin = {}) {
      const whole = runToEnd({ context, left }, claim, origin)
        .catch((err) => context.log.error({ err, job_id: claim.job_id, epoch: claim.epoch }, 'an attempt broke'))
        .finally(() => running.delete(whole));
      running.add(whole);
      return whole;
    },
    async idle() {
      while (running.size > 0) await Promise.all(running);
    },
  };
};

interface Place {
  context: WorkerContext;
  left: Claim[];
}

/** One attempt, from the claim or the adoption to the message's end and the container's removal. */
const runToEnd = async ({ context, left }: Place, claim: Claim, { delivery, adoption }: Origin): Promise<void> => {
  const { attempts, metrics, node } = context;
  const { job_id, attempt, epoch } = claim;
  const log = attempts.log.child({ job_id, attempt, epoch });
  metrics.attemptStarted(adoption !== undefined);
  log.info({ class: claim.class, adopted: adoption !== undefined }, 'attempt started');
  const end = await runAttempt(claim, { ...attempts, log }, adoption).catch(async (error) => {
    metrics.attemptLeft();
    await delivery?.handBack();
    throw error;
  });
  if (end.kind === 'left') {
    if (end.why === 'let_go') left.push(claim);
    metrics.attemptLeft();
    log.info({ why: end.why }, 'attempt left to others');
    await delivery?.complete({ state: 'running', node, exit_code: null, cause: null });
    return;
  }
  const { outcome, reply, removed } = end;
  metrics.attemptEnded(outcome.kind === 'exited' && outcome.exit_code === 0);
  log.info({ outcome, reply }, 'attempt ended');
  const note = { state: reply?.state ?? 'lost', node, exit_code: toExitCode(outcome), cause: toCause(outcome) };
  await (note.state === 'completed' ? delivery?.complete(note) : delivery?.fail(note));
  await removed;
};
