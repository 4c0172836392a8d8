import { judge, type Outcome, toCause, toExitCode, toFinalState, toMessage } from '@berth/domain';
import { type Claims, isUnavailable, type Settlement, type SettleReply } from '@berth/store';
import type { Logger } from 'pino';
import type { Hold } from './leases.js';
import { pause } from './waiting.js';

/** How soon a broker is asked again that is there but cannot write now: it is full, or loads its data, or its disk is broken. */
const AGAIN_MS = 500;

export interface AttemptEntry {
  outcome: Outcome;
  node: string;
  image_digest: string | null;
  /** Unix milliseconds by this machine's clock. */
  started_at: number | null;
  released: boolean;
  /** Random in [0, 1). */
  chance: number;
}

/** What the record is told: an end, or what comes next by the job's retry policy. What was given back has no cause. */
export const toSettlement = ({ claim }: Pick<Hold, 'claim'>, entry: AttemptEntry): Settlement => {
  const { outcome, node, image_digest, started_at } = entry;
  const shared = { entry: { node, image_digest, started_at } };
  if (entry.released && toFinalState(outcome) !== 'completed') {
    return { ...shared, type: 'released', cause: null, exit_code: null, message: null, delay_ms: 0 };
  }
  const verdict = judge(outcome, claim.attempt, claim.spec.max_attempts, entry.chance);
  const end = toFinalState(outcome) as 'completed' | 'failed' | 'cancelled';
  return {
    ...shared,
    type: verdict.next === 'end' ? end : verdict.next,
    cause: toCause(outcome),
    exit_code: toExitCode(outcome),
    message: toMessage(outcome),
    delay_ms: verdict.next === 'retried' ? verdict.delay_ms : 0,
  };
};

/**
 * Writes the settlement for as long as the epoch is ours: a broker that is away is waited for, one that refuses for now is asked
 * again, and meanwhile the lease is renewed. Undefined where the epoch was lost. Twice is once: the second finds the epoch over.
 */
export const settleAttempt = async (
  hold: Hold,
  settlement: Settlement,
  { claims, log }: { claims: Pick<Claims, 'settle'>; log: Logger },
): Promise<SettleReply | undefined> => {
  while (hold.request !== 'lost') {
    try {
      return await claims.settle(hold.claim, settlement);
    } catch (err) {
      if (!isUnavailable(err)) throw err;
      log.warn({ err }, 'could not write how the attempt ended; trying again');
      await pause(AGAIN_MS);
    }
  }
  return undefined;
};
