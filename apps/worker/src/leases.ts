import type { Intent } from '@berth/domain';
import { type Claim, type Claims, LEASE_MS } from '@berth/store';
import type { Logger } from 'pino';

/** What may be asked of a running attempt from outside. `release`: the worker shuts down; `lost`: the epoch is not ours. */
export type Request = Intent | 'release' | 'lost';

/** A claim in this worker's hands. The first request wins; `lost` overrules all, since it forbids every further write. */
export interface Hold {
  readonly claim: Claim;
  readonly request: Request | undefined;
  /** Settles with the first request. */
  readonly requested: Promise<Request>;
  ask(request: Request): void;
  /** Stops renewing: the epoch has been settled. */
  end(): void;
}

export interface Leases {
  hold(claim: Claim): Hold;
  find(job_id: string): Hold | undefined;
  readonly size: number;
  /** Asks every held attempt the same. */
  askAll(request: Request): void;
  close(): void;
}

const createHold = (claim: Claim, end: () => void): Hold => {
  let request: Request | undefined;
  let tell: (request: Request) => void = () => {};
  const requested = new Promise<Request>((resolve) => {
    tell = resolve;
  });
  return {
    claim,
    requested,
    get request() {
      return request;
    },
    ask(wish) {
      if (request !== undefined && wish !== 'lost') return;
      request = wish;
      tell(wish);
    },
    end,
  };
};

/**
 * Renews every lease of this worker with one script each quarter of a lease, and passes on what the record says was asked
 * meanwhile. Cancels normally arrive at once by the engine's channel; a renewal brings those whose notice was lost.
 */
export const keepLeases = (claims: Claims, log: Logger): Leases => {
  const holds = new Map<string, Hold>();

  const renew = async (): Promise<void> => {
    const held = [...holds.values()];
    const states = await claims.renew(held.map((hold) => hold.claim));
    for (const [i, hold] of held.entries()) {
      if (states[i] === 'cancel') hold.ask('cancel');
      if (states[i] === 'lost' && holds.get(hold.claim.job_id) === hold) hold.ask('lost');
    }
  };
  const timer = setInterval(() => renew().catch((err) => log.warn({ err }, 'could not renew leases')), LEASE_MS / 4);

  return {
    hold(claim) {
      const hold = createHold(claim, () => {
        if (holds.get(claim.job_id) === hold) holds.delete(claim.job_id);
      });
      holds.set(claim.job_id, hold);
      return hold;
    },
    find: (job_id) => holds.get(job_id),
    get size() {
      return holds.size;
    },
    askAll(request) {
      for (const hold of holds.values()) hold.ask(request);
    },
    close: () => clearInterval(timer),
  };
};
