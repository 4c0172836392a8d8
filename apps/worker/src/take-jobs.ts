import type { BoardNote, Consumer, Delivery } from '@berth/queue';
import type { Claimant, Claims } from '@berth/store';
import type { Logger } from 'pino';
import type { EngineGate } from './engine-gate.js';
import type { Room } from './room.js';
import type { RunningAttempts } from './running-attempts.js';

export interface TakeJobsOptions {
  className: string;
  consumer: Consumer;
  claims: Claims;
  claimant: Claimant;
  room: Room;
  gate: Pick<EngineGate, 'passed'>;
  /** The broker refused a claim because it has gone back, since then in Unix ms: the gate should be shut. */
  onWentBack: (at: number) => void;
  /** Runs a claimed job to its end; the loop does not wait for it. It must not reject. */
  run: RunningAttempts['run'];
  log: Logger;
}

/**
 * Takes jobs of one class for as long as the consumer gives messages, one at a time: a message, which is a ticket, the best job for this
 * machine, and on to the next while the job runs. There is no fixed concurrency: where nothing that waits can run here now, the message
 * goes back to the front of the queue at once and the loop waits for a change, so it never spins and never keeps a job from another machine.
 *
 * Nothing but the consumer's end ends the loop. A claim that the broker did not answer may have been made all the same: then
 * nobody renews its lease, and once that has ended this worker finds the job among the orphans, or a neighbour does.
 */
export const takeJobs = async (options: TakeJobsOptions): Promise<void> => {
  const { className, consumer, room, gate, log } = options;
  for (;;) {
    await gate.passed();
    const delivery = await consumer.take();
    if (!delivery) return;
    try {
      await takeJob(delivery, options);
    } catch (err) {
      const { job_id } = delivery.message;
      log.error({ err, class: className, job_id }, 'could not claim a job; its message goes back to the queue');
      await delivery.handBack().catch((error) => log.warn({ err: error, job_id }, 'could not hand a message back'));
      await room.changed();
    }
  }
};

const takeJob = async (delivery: Delivery, options: TakeJobsOptions): Promise<void> => {
  const { className, claims, claimant, room, run, onWentBack } = options;
  const before = room.signals;
  const reply = await claims.draw(className, delivery.ticket, claimant);
  switch (reply.kind) {
    case 'claimed':
      if (reply.claim.job_id !== delivery.message.job_id) void delivery.relabel(reply.claim.job_id, reply.claim.spec);
      void run(reply.claim, { delivery });
      return;
    case 'none':
      await delivery.handBack();
      await room.changed(before);
      return;
    case 'went_back':
      onWentBack(reply.at);
      await delivery.handBack();
      return;
    case 'gone':
      await endUnclaimed(delivery, { state: reply.state, node: claimant.node, exit_code: null, cause: null });
  }
};

/** A message of a job that there is not stands as failed on the board. */
const endUnclaimed = (delivery: Delivery, note: BoardNote): Promise<void> =>
  note.state === 'missing' ? delivery.fail(note) : delivery.complete(note);
