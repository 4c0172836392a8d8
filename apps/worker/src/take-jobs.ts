import type { Consumer, Delivery } from '@berth/queue';
import type { Claim, Claimant, Claims } from '@berth/store';
import type { Room } from './room.js';

/** A machine that is too small for a job does not see it again for so long; another may take it at once. */
const TOO_BIG_MS = 5_000;

export interface TakeJobsOptions {
  className: string;
  consumer: Consumer;
  claims: Claims;
  claimant: Claimant;
  room: Room;
  /** Runs a claimed job to its end; the loop does not wait for it. It must not throw. */
  run: (claim: Claim, delivery: Delivery) => void;
}

/**
 * Takes jobs of one class for as long as the consumer gives messages, one at a time: a message, a claim, and on to the next while
 * the job runs. There is no fixed concurrency: a claim is refused when the machine is full, and then the message goes back to the front
 * of the queue at once and the loop waits for room, so it never spins and never keeps a job from another machine.
 */
export const takeJobs = async (options: TakeJobsOptions): Promise<void> => {
  const { className, consumer, room } = options;
  for (;;) {
    while (!room.isTurnOf(className)) await room.changed();
    const delivery = await consumer.take();
    if (!delivery) return;
    await takeJob(delivery, options);
  }
};

const takeJob = async (delivery: Delivery, options: TakeJobsOptions): Promise<void> => {
  const { className, claims, claimant, room, run } = options;
  const roomChanged = room.changed();
  const reply = await claims.claim(delivery.message.job_id, claimant);
  switch (reply.kind) {
    case 'claimed':
      room.claimed(className);
      run(reply.claim, delivery);
      return;
    case 'no_room':
      room.refused(className);
      await delivery.handBack();
      await roomChanged;
      return;
    case 'too_big':
      await delivery.postpone(TOO_BIG_MS);
      return;
    case 'gone':
      await delivery.complete({ state: reply.state, node: claimant.node, exit_code: null, cause: null });
  }
};
