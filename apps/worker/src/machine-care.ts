import type { Claimant } from '@berth/store';
import type { Logger } from 'pino';
import { createAdoption } from './adopt-jobs.js';
import type { WorkerContext } from './context.js';
import { keepFence } from './fence.js';
import { createPartialTaker } from './files/take-partials.js';
import { startHousekeeping } from './housekeeping.js';
import { startSignOfLife } from './pulse.js';
import type { RunningAttempts } from './running-attempts.js';

/** A neighbour is taken for dead only by a worker that has itself been heard for so long. */
const STEADY_MS = 2_000;

/** The broker lost its data, and another worker named the installation anew: ours would not see what its workers run, nor they ours. */
const startAgain = (log: Logger, installation: string): void => {
  log.fatal({ installation }, 'the broker has another name for this installation; ending, to be started again');
  process.kill(process.pid, 'SIGTERM');
};

export interface MachineCare {
  /** The broker's time at the last sign of life, in Unix ms. */
  brokerTime(): number;
  /** Takes nothing more on; what this worker holds is cared for still. */
  stopAdopting(): void;
  /** Gives no more signs of life. What is let go now is safe from other machines for a while. */
  close(): void;
}

/**
 * What the workers of a machine do for one another and for its containers, beside running jobs: show that they live, adopt what the
 * dead have left, fence what may run elsewhere, remove what should not run. In this order: a worker that has not shown a sign of life
 * looks dead to its neighbours, so it does that before it claims or adopts anything.
 */
export const startMachineCare = async (
  context: WorkerContext,
  claimant: Claimant,
  attempts: Pick<RunningAttempts, 'run'>,
): Promise<MachineCare> => {
  const { installation, jobFiles } = context.attempts;
  const { store, leases, room, redis, log, noteLease } = context;
  const now = () => performance.now();
  let open = true;
  const adoption = createAdoption({
    adoptions: store.adoptions,
    claimant,
    run: (adopted) => void attempts.run(adopted.claim, { adoption: adopted }),
    isHeld: (job_id) => leases.find(job_id) !== undefined,
    isOpen: () => open,
    log,
  });
  const pulse = await startSignOfLife({
    beat: async () => {
      const heard = await store.adoptions.beat(claimant, installation);
      context.pastGate.heard(heard.went_back_at);
      if (heard.installation !== installation) startAgain(log, heard.installation);
      return heard;
    },
    onSilent: (steady_ms) => void (steady_ms > STEADY_MS && adoption.pass()),
    now,
    log,
  });
  redis.on('ready', pulse.interrupted);
  const fence = keepFence({ leases, pulse, noteLease, now, log });
  const partials = createPartialTaker({ leases, jobFiles, partials: store.partials, log });
  const unsubscribe = await context.channels.subscribe(store.keys.engineChannel(claimant.engine), (message) => {
    const [word, job_id = ''] = message.split(' ');
    if (word === 'room') room.signal();
    if (word === 'cancel') leases.cancel(job_id);
    if (word === 'orphans') void adoption.pass();
    if (word === 'snapshot') partials.take(job_id);
  });
  const housekeeping = await startHousekeeping({ context, pulse, adopt: adoption.pass });
  return {
    brokerTime: () => pulse.brokerTime,
    stopAdopting() {
      open = false;
      housekeeping.close();
    },
    close() {
      pulse.close();
      fence.close();
      redis.off('ready', pulse.interrupted);
      unsubscribe();
    },
  };
};
