import { isTerminal } from '@berth/domain';
import type { History } from '@berth/history';
import { type Archiving, type JobRecord, toJobRecord } from '@berth/store';

/** What a job has in the file store, by its record. */
export interface ObjectJob {
  user: string;
  class: string;
  /** Unix ms. Null: it has not ended. */
  finished_at: number | null;
  /** Epochs that left artifacts, and the one that may be about to. */
  epochs: ReadonlySet<number>;
  /** Objects that its log stands in. */
  segments: ReadonlySet<string>;
}

const toObjectJob = (job: JobRecord, segments: string[]): ObjectJob => ({
  user: job.user,
  class: job.class,
  finished_at: isTerminal(job.state) ? job.finished_at : null,
  epochs: new Set([
    ...job.attempts.flatMap(({ artifacts }) => (artifacts ? [artifacts.epoch] : [])),
    ...(isTerminal(job.state) ? [] : [job.epoch]),
  ]),
  segments: new Set(segments.map((text) => String(JSON.parse(text).object))),
});

/**
 * Finds the job that objects belong to: first in Redis, then in the archive, as a job is only removed from the one when it is in the other.
 * Null: there is no such job. Throws where either is away: then nothing is known to be nobody's.
 */
export const createFindObjectJob =
  (archiving: Pick<Archiving, 'readStored'>, history: Pick<History, 'read'> | undefined) =>
  async (job_id: string): Promise<ObjectJob | null> => {
    const [here] = await archiving.readStored([job_id]);
    const job = here && toJobRecord(job_id, here.fields);
    if (here && job) return toObjectJob(job, here.segments);
    const found = (await history?.read(job_id)) ?? null;
    return found && toObjectJob(found.job, found.segments);
  };

export type FindObjectJob = ReturnType<typeof createFindObjectJob>;
