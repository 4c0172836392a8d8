import { LEASE_MS } from '@berth/store';
import type { Logger } from 'pino';
import type { Hold } from './hold.js';
import type { NoteLease } from './lease-file.js';
import type { Leases } from './leases.js';
import type { SignOfLife } from './pulse.js';

/** A worker that has not renewed for so long stands its containers still: others may claim their jobs at the end of the lease. */
export const FENCE_AFTER_MS = LEASE_MS - 5_000;
const LOOK_MS = 1_000;
/** After a pause of this process that long the reaper may have acted in its place. */
const STANDSTILL_MS = 5_000;
/**
 * For so long after a recovery, and at first, everything held is unpaused again and again: a reaper that had read the old note may pause a
 * moment later.
 */
const WAKE_MS = 12_000;

export interface FenceOptions {
  leases: Leases;
  pulse: Pick<SignOfLife, 'otherEngines' | 'heardFor'>;
  noteLease: NoteLease;
  /** Milliseconds on a clock that never goes back. */
  now: () => number;
  log: Logger;
}

/**
 * Keeps a job from running in two places. A worker that is cut off from the broker cannot know whether its leases are still its own:
 * once another machine may have claimed a job, our container of it must not run. To kill it would lose the work of every
 * job at each outage of the broker, which is when nobody else can claim either. So it is paused: no instruction of it runs
 * until a renewal tells. Held still: it goes on where it stood. Over: the attempt removes it. Moved to a neighbour: the neighbour unpauses,
 * when it takes over, and again when it finds paused what it holds (see reconcile.ts): it may have taken over before we paused. So
 * each container is paused once in a doubt, not again and again.
 *
 * On the only machine there is nothing to keep apart: whoever claims the job there finds the old container and removes it first. Machines
 * that are new since the last answer of the broker are not known of; that is the one hole.
 *
 * A worker that is dead or stands still cannot do this for itself: the reaper does, by the note that it keeps (see lease-file.ts). The note
 * speaks for the whole machine, so a worker that holds nothing keeps it fresh only while the broker hears it, and one that leaves does
 * not draw it out: who would take over what it let go is not known. So after
 * any standstill everything that is held is unpaused, whoever paused it.
 */
export const keepFence = ({ leases, pulse, noteLease, now, log }: FenceOptions): { close(): void } => {
  let doubtful = false;
  let lastLook = now();
  let wakeUntil = now() + WAKE_MS;
  const still = new Set<Hold>();

  const pause = (hold: Hold): void => {
    const { container, claim } = hold;
    if (container === undefined || still.has(hold)) return;
    container.pause().then(
      () => still.add(hold),
      (err) => log.warn({ err, job_id: claim.job_id }, 'could not pause a container'),
    );
  };
  const unpause = ({ container, claim }: Hold): void => {
    container?.unpause().catch((err) => log.warn({ err, job_id: claim.job_id }, 'could not unpause a container'));
  };
  const doubt = (): void => {
    const note = { other_engines: pulse.otherEngines, running: leases.size };
    if (!doubtful && note.running > 0) log.warn(note, 'could not renew its leases for too long');
    doubtful = true;
    if (note.other_engines > 0) leases.all().forEach(pause);
  };
  const look = (): void => {
    const age = leases.size === 0 ? pulse.heardFor() : now() - leases.renewedAt;
    const stoodStill = now() - lastLook > STANDSTILL_MS;
    lastLook = now();
    if (age > FENCE_AFTER_MS) {
      doubt();
      return;
    }
    noteLease(LEASE_MS - age, pulse.otherEngines > 0);
    if (doubtful || stoodStill) wakeUntil = now() + WAKE_MS;
    doubtful = false;
    still.clear();
    if (now() < wakeUntil) leases.all().filter(isOurs).forEach(unpause);
  };
  look();
  const timer = setInterval(look, LOOK_MS);
  return { close: () => clearInterval(timer) };
};

const isOurs = ({ leave, request }: Hold): boolean => leave === undefined && request !== 'over';
