import { type Claims, LEASE_MARGIN_MS, LEASE_MS } from '@berth/store';
import type { Logger } from 'pino';

/** An answer that took longer came from a broker, or a process, that had stood still. */
const PROMPT_MS = 2_000;

export interface LostJobsOptions {
  claims: Pick<Claims, 'expire'>;
  ping: () => Promise<void>;
  /** Milliseconds on a clock that never goes back. */
  now: () => number;
  /** How often the returned function is called. */
  every_ms: number;
  log: Logger;
}

/**
 * Takes jobs away from workers that have stopped renewing; to be called at a regular pace. After an outage every lease looks lapsed, and
 * the living must have their chance to renew first, so others are judged only after the broker has answered promptly and
 * without a break for longer than a lease. A connection that stays open tells nothing: a broker that was stopped and goes on
 * keeps its connections. So each call asks for an answer before it judges, and a slow answer, or a pause between two calls, starts
 * the wait again.
 */
export const createLostJobs = ({ claims, ping, now, every_ms, log }: LostJobsOptions) => {
  let answeringSince = now();
  let lastAnswer = now();
  return {
    /** The connection broke and came back. */
    interrupted(): void {
      answeringSince = now();
    },
    async take(): Promise<void> {
      const asked = now();
      await ping();
      const answered = now();
      if (answered - asked > PROMPT_MS || asked - lastAnswer > every_ms + PROMPT_MS) answeringSince = answered;
      lastAnswer = answered;
      if (answered - answeringSince < LEASE_MS + LEASE_MARGIN_MS) return;
      const lost = await claims.expire();
      if (lost.length > 0) log.warn({ jobs: lost }, 'took jobs away from workers that stopped renewing');
    },
  };
};
