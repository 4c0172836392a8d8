import type { Claim, Claimant, ClaimReply, Store } from '@berth/store';
import { toClaimant } from './open-test-store.js';

/** Plays the relay and a worker: issues tickets for what waits, and draws the class's best job for a machine with one of them. */
export const createDrawer = (store: Store, className = 'small') => {
  const tickets: string[] = [];
  const draw = async (by: Claimant = toClaimant()): Promise<ClaimReply> => {
    for (;;) {
      tickets.push(...(await store.backlog.dispatch(className, 1_000, 1_000)).map(({ ticket }) => ticket));
      const ticket = tickets[0];
      if (ticket === undefined) return { kind: 'none' };
      const reply = await store.claims.draw(className, ticket, by);
      if (reply.kind === 'none') return reply;
      tickets.shift();
      if (reply.kind === 'claimed') return reply;
    }
  };
  return {
    /** The job that the machine gets, or undefined where nothing that waits can run there. */
    async next(by?: Claimant): Promise<Claim | undefined> {
      const reply = await draw(by);
      return reply.kind === 'claimed' ? reply.claim : undefined;
    },
    /** Until nothing fits any more. */
    async all(by?: Claimant): Promise<Claim[]> {
      const claims: Claim[] = [];
      for (let reply = await draw(by); reply.kind === 'claimed'; reply = await draw(by)) claims.push(reply.claim);
      return claims;
    },
  };
};
