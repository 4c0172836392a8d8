import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { EngineEvent, LedgerLine, Observation } from './evidence.js';

/** A file that is not there holds no lines: nothing has happened yet. */
const readLines = (file: string): string[] =>
  existsSync(file) ? readFileSync(file, 'utf8').split('\n').filter(Boolean) : [];

/** One job id a line. */
export const readAccepted = (file: string): string[] => readLines(file);

/** `job_id epoch`, and whatever else stands behind. */
export const readLedger = (file: string): LedgerLine[] =>
  readLines(file).map((line) => {
    const [job_id = '', epoch] = line.split(' ');
    return { job_id, epoch: Number(epoch) };
  });

/** `job_id state`, and whatever else stands behind. */
export const readObserved = (file: string): Observation[] =>
  readLines(file).map((line) => {
    const [job_id = '', state = ''] = line.split(' ');
    return { job_id, state };
  });

/** One JSON object a line, as in `EngineEvent`. */
export const readEngineEvents = (file: string): EngineEvent[] =>
  readLines(file).map((line) => JSON.parse(line) as EngineEvent);

/** The true output of the job, where the folder has a file of its name. */
export const readExpectedLog = (folder: string, job_id: string): Buffer | undefined => {
  const file = join(folder, job_id);
  return existsSync(file) ? readFileSync(file) : undefined;
};
