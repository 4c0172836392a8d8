import { AppError } from '@berth/domain';
import type { History } from '@berth/history';
import { type Archiving, findRefusal, type StoredJob } from '@berth/store';
import type { Logger } from 'pino';
import { repeat } from './repeat.js';

const PERIOD_MS = 2_000;
const BATCH = 200;

interface ArchiverOptions {
  archiving: Archiving;
  history: Pick<History, 'save' | 'readNewest'>;
  /** So long finished jobs stay in Redis at most, */
  archiveAfterSeconds: number;
  /** and so many. */
  keepFinished: number;
  /** After so long, output that never came into the file store is given up. */
  retentionSeconds: number;
  now: () => number;
  log: Logger;
}

const isAway = (error: unknown): error is AppError => error instanceof AppError && error.code === 'unavailable';

/** What keeps jobs from being moved, whatever they are: the archive, or a Redis that is there and refuses. Undefined for what else went wrong. */
const toHindrance = (error: unknown): string | undefined => {
  if (isAway(error)) return error.message;
  const refusal = findRefusal(error);
  return refusal && `Redis answers ${refusal}.`;
};

const saveOneByOne = async (history: Pick<History, 'save'>, jobs: StoredJob[]) => {
  const faults: { job_id: string; error: unknown }[] = [];
  for (const job of jobs) {
    await history.save([job]).catch((error: unknown) => {
      if (isAway(error)) throw error;
      faults.push({ job_id: job.job_id, error });
    });
  }
  return faults;
};

/** Saves jobs; returns which of them the archive does not take. Where it takes none of a whole batch, it is not the jobs, and it throws. */
const createSave = (history: Pick<History, 'save'>, log: Logger) => {
  const noted = new Set<string>();
  const note = (job_id: string, err: unknown): void => {
    if (!noted.has(job_id)) log.error({ err, job_id }, 'the archive does not take this job, which stays in Redis');
    noted.add(job_id);
  };
  return async (jobs: StoredJob[]): Promise<string[]> => {
    try {
      await history.save(jobs);
      return [];
    } catch (error) {
      if (isAway(error)) throw error;
      const faults = await saveOneByOne(history, jobs);
      if (faults.length >= BATCH) throw error;
      for (const { job_id, error: err } of faults) note(job_id, err);
      return faults.map(({ job_id }) => job_id);
    }
  };
};

/** Says once what keeps passes from moving jobs, and once that nothing does any more. */
const sayingHindrances = (pass: () => Promise<void>, log: Logger) => {
  let hindrance: string | undefined;
  return async (): Promise<void> => {
    try {
      await pass();
      if (hindrance) log.info('finished jobs are archived again');
      hindrance = undefined;
    } catch (error) {
      const reason = toHindrance(error);
      if (reason === undefined) throw error;
      if (reason !== hindrance)
        log.warn({ reason }, 'finished jobs cannot be archived; Redis keeps them until they can');
      hindrance = reason;
    }
  };
};

/**
 * Moves finished jobs from Redis to the archive, oldest end first. First they are durable there, then they are removed here: who dies in between
 * leaves them in both, and whoever comes next writes them once more, which changes nothing, and removes them. So each replica has one, and two at the
 * same jobs do no harm. Nothing can change a job in between: it has ended. While the archive is away, Redis keeps them.
 *
 * A job with output that is nowhere but in Redis waits until that is in the file store, and one that the archive does not take for what it holds
 * keeps no other from leaving.
 */
export const startArchiver = (options: ArchiverOptions): { close(): Promise<void> } => {
  const { archiving, history, archiveAfterSeconds, keepFinished, retentionSeconds, now, log } = options;
  let closed = false;
  let noted = false;
  const save = createSave(history, log);

  const countDue = async (): Promise<number> => {
    const { all, before } = await archiving.countFinished(now() - archiveAfterSeconds * 1000);
    return Math.max(before, all - keepFinished);
  };
  const isReady = ({ fields, output_here }: StoredJob): boolean =>
    !output_here || Number(fields.finished_at) < now() - retentionSeconds * 1000;

  /** Returns how many of these have left Redis. What is not there any more counts as well. */
  const move = async (ids: string[]): Promise<number> => {
    const stored = await archiving.readStored(ids);
    const waiting = new Set(stored.filter((job) => !isReady(job)).map(({ job_id }) => job_id));
    for (const job_id of await save(stored.filter(({ job_id }) => !waiting.has(job_id)))) waiting.add(job_id);
    await archiving.removeArchived(
      ids.filter((id) => !waiting.has(id)),
      retentionSeconds,
    );
    return ids.length - waiting.size;
  };
  const noteNewest = async (): Promise<void> => {
    const newest = await history.readNewest();
    if (newest !== null) await archiving.noteArchived(newest);
    noted = true;
  };
  const archive = async (): Promise<number> => {
    if (!noted) await noteNewest();
    let [moved, passed] = [0, 0];
    for (let left = await countDue(); left > passed && !closed; left = await countDue()) {
      const ids = await archiving.findFinished(passed, Math.min(BATCH, left - passed));
      if (ids.length === 0) break;
      const gone = await move(ids);
      moved += gone;
      passed += ids.length - gone;
    }
    return moved;
  };
  const pass = async (): Promise<void> => {
    const moved = await archive();
    if (moved > 0) log.info({ moved }, 'archived finished jobs');
  };
  const passes = repeat(sayingHindrances(pass, log), {
    period_ms: PERIOD_MS,
    failure: 'could not archive finished jobs',
    log,
  });
  return {
    async close() {
      closed = true;
      await passes.close();
    },
  };
};
