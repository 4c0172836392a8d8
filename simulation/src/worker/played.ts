import { type Outcome, toOutcome } from '@berth/domain';
import type { Hold } from './hold.js';

/** How an attempt ended for the worker. `unbegun`: the engine was away before anything ran. */
export interface Played {
  outcome: Outcome;
  unbegun?: boolean;
}

/** Beyond its timeout and grace a container may live so long before others of the machine stop it. */
export const DEADLINE_SLACK_MS = 10_000;

export const LOST_TO_ENGINE: Played = { outcome: { kind: 'engine_restarted' } };

export const toStopped = (hold: Hold): Played | 'left' => {
  if (hold.leave !== undefined) return 'left';
  return hold.request === 'cancel' ? { outcome: { kind: 'cancelled', exit_code: null } } : LOST_TO_ENGINE;
};

/** What the report of an end means for the attempt. */
export const toPlayed = (hold: Hold, report: Parameters<typeof toOutcome>[0], deadline_ms: number): Played => {
  const intent = hold.request === 'cancel' || hold.request === 'timeout' ? hold.request : undefined;
  return { outcome: toOutcome(report, { intent, deadline_ms }) };
};
