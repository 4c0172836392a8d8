import type { Intent } from '@berth/domain';
import { type Claim, type Claims, LEASE_MS } from '@berth/store';
import type { Logger } from 'pino';

/** What may be asked of a running attempt from outside. `release`: the worker shuts down; `lost`: the epoch is not ours. */
export type Request = Intent | 'release' | 'lost';
type Urgent = Extract<Request, 'release' | 'lost'>;

/** A claim in this worker's hands. The first request wins; `lost` overrules all, since it forbids every further write. */
export interface Hold {
  readonly claim: Claim;
  readonly request: Request | undefined;
  /** Settles with the first request. */
  readonly requested: Promise<Request>;
  /** Settles with the first of those that leave no time for a long grace, whatever was asked before. */
  readonly urgent: Promise<Urgent>;
  ask(request: Request): void;
  /** Stops renewing: the epoch has been settled. */
  end(): void;
}

export interface Leases {
  hold(claim: Claim): Hold;
  find(job_id: string): Hold | undefined;
  readonly size: number;
  /** Passes on that someone cancelled a job. The notice may overtake the claim's own reply, so it is remembered for a while. */
  cancel(job_id: string): void;
  /** Asks every attempt to give its job back, those too that are held from now on. */
  releaseAll(): void;
  /** Renews no more. What is still held counts as lost: the process goes, and writes nothing behind its own back. */
  close(): void;
}

const REMEMBERED_MS = 10_000;

const defer = <T>() => {
  let settle: (value: T) => void = () => {};
  const promise = new Promise<T>((resolve) => {
    settle = resolve;
  });
  return { promise, settle };
};

const createHold = (claim: Claim, isClosed: () => boolean, end: () => void): Hold => {
  const requested = defer<Request>();
  const urgent = defer<Urgent>();
  let request: Request | undefined;
  return {
    claim,
    requested: requested.promise,
    urgent: urgent.promise,
    get request() {
      return isClosed() ? 'lost' : request;
    },
    ask(wish) {
      if (wish === 'release' || wish === 'lost') urgent.settle(wish);
      if (request !== undefined && wish !== 'lost') return;
      request = wish;
      requested.settle(wish);
    },
    end,
  };
};

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

/**
 * Renews every lease of this worker with one script each quarter of a lease, and passes on what the record says was asked
 * meanwhile. Cancels normally arrive at once by the engine's channel; a renewal brings those whose notice was lost.
 */
export const keepLeases = (claims: Claims, log: Logger): Leases => {
  const holds = new Map<string, Hold>();
  const cancels = createRecentCancels();
  let releasing = false;
  let closed = false;
  let renewing = false;

  const renew = async (): Promise<void> => {
    const held = [...holds.values()];
    const states = await claims.renew(held.map((hold) => hold.claim));
    for (const [i, hold] of held.entries()) {
      if (states[i] === 'cancel') hold.ask('cancel');
      if (states[i] === 'lost' && holds.get(hold.claim.job_id) === hold) hold.ask('lost');
    }
  };
  const timer = setInterval(async () => {
    if (renewing) return;
    renewing = true;
    await renew().catch((err) => log.warn({ err }, 'could not renew leases'));
    renewing = false;
  }, LEASE_MS / 4);

  return {
    hold(claim) {
      const { job_id } = claim;
      const forget = () => {
        if (holds.get(job_id) === hold) holds.delete(job_id);
      };
      const hold = createHold(claim, () => closed, forget);
      holds.get(job_id)?.ask('lost');
      holds.set(job_id, hold);
      if (cancels.has(job_id)) hold.ask('cancel');
      if (releasing) hold.ask('release');
      return hold;
    },
    find: (job_id) => holds.get(job_id),
    get size() {
      return holds.size;
    },
    cancel(job_id) {
      cancels.add(job_id);
      holds.get(job_id)?.ask('cancel');
    },
    releaseAll() {
      releasing = true;
      for (const hold of holds.values()) hold.ask('release');
    },
    close() {
      closed = true;
      clearInterval(timer);
    },
  };
};
