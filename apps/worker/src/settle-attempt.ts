import {
  type Evidence,
  judge,
  type Outcome,
  toCause,
  toExitCode,
  toFinalState,
  toMessage,
  toRetryPolicy,
} from '@berth/domain';
import { type ArtifactSummary, type Claims, isUnavailable, type Settlement, type SettleReply } from '@berth/store';
import type { Logger } from 'pino';
import type { Hold } from './hold.js';
import { pause } from './waiting.js';

/** How soon a broker is asked again that is there but cannot write now: it is full, or loads its data, or its disk is broken. */
const AGAIN_MS = 500;

export interface AttemptEntry {
  outcome: Outcome;
  evidence: Evidence | null;
  node: string;
  image_digest: string | null;
  released: boolean;
  /** It ended once we had told it to: a 0 is not that it was done. */
  stopped?: boolean;
  /** What it left behind. */
  artifacts?: ArtifactSummary | undefined;
  /** Random in [0, 1). */
  chance: number;
}

/** What the record is told: an end, or what comes next by the job's retry policy. What was given back has no cause; where the platform could not begin, the message says why. */
export const toSettlement = (
  { claim, usage }: Pick<Hold, 'claim'> & Partial<Pick<Hold, 'usage'>>,
  entry: AttemptEntry,
): Settlement => {
  const { outcome, evidence, node, image_digest, artifacts } = entry;
  const shared = { entry: { node, image_digest, evidence, ...(artifacts ? { artifacts } : {}) }, usage };
  if (entry.released && (entry.stopped || toFinalState(outcome) !== 'completed')) {
    return { ...shared, type: 'released', cause: null, exit_code: null, message: toMessage(outcome), delay_ms: 0 };
  }
  const verdict = judge(outcome, claim.attempt, toRetryPolicy(claim.spec), entry.chance);
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
 * again, and meanwhile the lease is renewed. Undefined where the epoch is over or another worker's. Twice is once: the second finds the epoch over.
 */
export const settleAttempt = async (
  hold: Hold,
  settlement: Settlement,
  { claims, log }: { claims: Pick<Claims, 'settle'>; log: Logger },
): Promise<SettleReply | undefined> => {
  while (hold.request !== 'over' && hold.leave !== 'moved') {
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
