import { type FileStore, type JobNumbers, type JobRecord, objectNames, toFirstId } from '@berth/store';
import type { Logger } from 'pino';
import { repeat } from './repeat.js';
import type { InstallationMark } from './retention/installation-mark.js';

const PERIOD_MS = 600_000;

export interface ServiceCleaningOptions {
  numbers: JobNumbers;
  /** Wherever it is: a job may be in the archive by then. */
  readJob: (job_id: string) => Promise<JobRecord | null>;
  files: FileStore;
  mark: Pick<InstallationMark, 'requireMark' | 'requireSame'>;
  maxAgeSeconds: number;
  now: () => number;
  log: Logger;
}

type Verdict = 'done' | 'late' | 'young';

/**
 * Removes the files of the job orchestrator's jobs when their time is up. It walks over their numbers, which are in the order of submission, up to the
 * first that was submitted too lately; what has not ended by then, or has too lately, is come back to. So each job is looked at a few times,
 * whoever's turn it is, and a crash or a second replica only has something looked at twice. Returns how many jobs were cleaned. Throws AppError
 * `unavailable`, and has nothing counted as looked at, where "no record" does not say that the job has gone: see `installation-mark.ts`.
 */
export const cleanServices = async (options: Omit<ServiceCleaningOptions, 'log'>): Promise<number> => {
  const { numbers, readJob, files, mark, maxAgeSeconds, now } = options;
  const before = now() - maxAgeSeconds * 1000;
  let cleaned = 0;

  const look = async (number: number): Promise<Verdict> => {
    const known = await numbers.find(number);
    if (!known) return 'done';
    if (known.job_id >= toFirstId(before)) return 'young';
    const job = await readJob(known.job_id);
    if (job && (job.finished_at === null || job.finished_at >= before)) return 'late';
    if (!job) await mark.requireSame();
    let removed = 0;
    for await (const { name } of files.list(objectNames.artifacts(known.job_id))) {
      await files.remove(name);
      removed++;
    }
    if (removed > 0) cleaned++;
    return 'done';
  };

  const { up_to, last, late } = await numbers.readWalk();
  if (up_to < last || late.length > 0) await mark.requireMark();
  for (const number of late) if ((await look(number)) === 'done') await numbers.noteDone(number);
  for (let number = up_to + 1; number <= last; number++) {
    const verdict = await look(number);
    if (verdict === 'young') break;
    if (verdict === 'late') await numbers.noteLate(number);
    await numbers.noteWalked(number);
  }
  return cleaned;
};

export const startServiceCleaning = ({ log, ...options }: ServiceCleaningOptions) => {
  const pass = async (): Promise<void> => {
    const cleaned = await cleanServices(options);
    if (cleaned > 0) log.info({ cleaned }, 'removed the files of jobs whose time is up');
  };
  return repeat(pass, { period_ms: PERIOD_MS, failure: 'could not remove the files of old jobs', log });
};
