import type { Adoption, Adoptions, Claimant } from '@berth/store';
import type { Logger } from 'pino';

export interface AdoptionOptions {
  adoptions: Pick<Adoptions, 'adopt' | 'findOrphans'>;
  claimant: Claimant;
  /** Goes on with an adopted job; must not throw and is not waited for. */
  run: (adoption: Adoption) => void;
  /** Whether this worker runs the job as it is: its own lapse after an outage must not look like another's. */
  isHeld: (job_id: string) => boolean;
  /** Whether the worker still takes anything on. */
  isOpen: () => boolean;
  log: Logger;
}

/**
 * Takes over the running jobs of workers of this engine that are gone or have let them go, and those of its own that it lost sight of: the
 * broker's answer to a claim or an adoption may be lost. The record decides who gets which: several
 * workers may try at once. Asked again while a pass runs, it passes once more: what was let go meanwhile must not wait.
 */
export const createAdoption = ({ adoptions, claimant, run, isHeld, isOpen, log }: AdoptionOptions) => {
  let passing: Promise<void> | undefined;
  let again = false;

  const adopt = async (job_id: string): Promise<void> => {
    const adoption = await adoptions.adopt(job_id, claimant);
    if (adoption === undefined) return;
    log.info({ job_id, epoch: adoption.claim.epoch, ran_ms: adoption.ran_ms }, 'adopted a running job');
    run(adoption);
  };
  const once = async (): Promise<void> => {
    for (const job_id of await adoptions.findOrphans(claimant)) {
      if (!isOpen()) return;
      if (isHeld(job_id)) continue;
      await adopt(job_id).catch((err) => log.warn({ err, job_id }, 'could not adopt a job'));
    }
  };
  const untilDone = async (): Promise<void> => {
    do {
      again = false;
      await once().catch((err) => log.warn({ err }, 'could not look for jobs to adopt'));
    } while (again && isOpen());
    passing = undefined;
  };
  return {
    /** Never rejects. */
    pass(): Promise<void> {
      again = true;
      passing ??= untilDone();
      return passing;
    },
  };
};
