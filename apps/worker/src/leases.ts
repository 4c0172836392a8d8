import { type Claim, type Claims, isUnavailable, LEASE_MS, type LeaseState } from '@berth/store';
import type { Logger } from 'pino';
import { createHold, type Hold } from './hold.js';
import { every, pause } from './waiting.js';

export interface Leases {
  hold(claim: Claim): Hold;
  find(job_id: string): Hold | undefined;
  all(): Hold[];
  readonly size: number;
  /**
   * Whether the epoch is ours still, by the record, just now; the lease is renewed by it. Waits for a broker that is away, or that cannot
   * write now, for as long as nothing is asked of the attempt.
   */
  confirm(hold: Hold): Promise<void>;
  /** When every lease that is held was good for certain: the time at which the last renewal of them all was sent. Of `performance.now()`. */
  readonly renewedAt: number;
  /** Passes on that someone cancelled a job. The notice may overtake the claim's own reply, so it is remembered for a while. */
  cancel(job_id: string): void;
  /** Asks every attempt to end its container and give its job back, those too that are held from now on. */
  releaseAll(): void;
  /** Asks every attempt to leave its container to others, those too that are held from now on. */
  letGoAll(): void;
  /** Renews no more. What is still held counts as moved: the process goes, and writes nothing behind its own back. */
  close(): void;
}

const REMEMBERED_MS = 10_000;
/** How soon a broker is asked again that is there but cannot write now. */
const AGAIN_MS = 500;

/** Ids of jobs that were cancelled a moment ago. */
const createRecentCancels = () => {
  const at = new Map<string, number>();
  return {
    add(job_id: string): void {
      const now = performance.now();
      for (const [id, since] of at) if (now - since > REMEMBERED_MS) at.delete(id);
      at.set(job_id, now);
    },
    has: (job_id: string): boolean => at.has(job_id),
  };
};

/** A job that comes back under the same epoch was in other hands meanwhile: its container goes on, and its former attempt leaves it. */
const giveUp = (former: Hold, claim: Claim): void => {
  if (former.claim.epoch === claim.epoch) former.leaveIt('moved');
  else former.ask('over');
};

const untilRenewed = async (hold: Hold, renew: () => Promise<void>, log: Logger): Promise<void> => {
  for (;;) {
    try {
      return await renew();
    } catch (err) {
      if (!isUnavailable(err) || hold.request !== undefined || hold.leave !== undefined) throw err;
      log.warn({ err, job_id: hold.claim.job_id }, 'could not confirm a lease; trying again');
      await pause(AGAIN_MS);
    }
  }
};

const tell = (hold: Hold, state: LeaseState | undefined): void => {
  if (state === 'cancel' || state === 'over') hold.ask(state);
  if (state === 'moved') hold.leaveIt('moved');
};

/**
 * Renews every lease of this worker with one script each quarter of a lease, and passes on what the record says was asked
 * meanwhile. Cancels normally arrive at once by the engine's channel; a renewal brings those whose notice was lost.
 */
export const keepLeases = (claims: Pick<Claims, 'renew'>, log: Logger): Leases => {
  const holds = new Map<string, Hold>();
  const cancels = createRecentCancels();
  let from_now: 'release' | 'let_go' | undefined;
  let closed = false;
  let renewedAt = performance.now();

  const renew = async (held: Hold[]): Promise<void> => {
    const states = await claims.renew(held.map((hold) => hold.claim));
    for (const [i, hold] of held.entries()) if (holds.get(hold.claim.job_id) === hold) tell(hold, states[i]);
  };
  const renewAll = async (): Promise<void> => {
    const sent = performance.now();
    await renew([...holds.values()]);
    renewedAt = sent;
  };
  const timer = every(LEASE_MS / 4, () => renewAll().catch((err) => log.warn({ err }, 'could not renew leases')));

  return {
    hold(claim) {
      const { job_id } = claim;
      const forget = () => {
        if (holds.get(job_id) === hold) holds.delete(job_id);
      };
      const hold = createHold(claim, () => closed, forget);
      if (holds.size === 0) renewedAt = performance.now();
      const former = holds.get(job_id);
      if (former !== undefined) giveUp(former, claim);
      holds.set(job_id, hold);
      if (cancels.has(job_id)) hold.ask('cancel');
      if (from_now === 'release') hold.ask('release');
      if (from_now === 'let_go') hold.leaveIt('let_go');
      return hold;
    },
    find: (job_id) => holds.get(job_id),
    all: () => [...holds.values()],
    get size() {
      return holds.size;
    },
    get renewedAt() {
      return renewedAt;
    },
    confirm: (hold) => untilRenewed(hold, () => renew([hold]), log),
    cancel(job_id) {
      cancels.add(job_id);
      holds.get(job_id)?.ask('cancel');
    },
    releaseAll() {
      from_now = 'release';
      for (const hold of holds.values()) hold.ask('release');
    },
    letGoAll() {
      from_now = 'let_go';
      for (const hold of holds.values()) hold.leaveIt('let_go');
    },
    close() {
      closed = true;
      clearInterval(timer);
    },
  };
};
