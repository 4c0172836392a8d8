import type { JobRecord } from '@berth/store';
import type { LedgerLine } from './evidence.js';

/** A job with this label writes to the ledger at each start of its container. */
const LEDGER_LABEL = 'ledger';

type Job = Pick<JobRecord, 'state' | 'epoch' | 'attempt' | 'spec'>;

/**
 * I5: each epoch of a job had its side effect at most once, no epoch had one that the record does not know of, and a job that completed had
 * that of its last epoch. Without a fault each attempt had exactly one.
 */
export const checkLedger = (lines: LedgerLine[], jobs: ReadonlyMap<string, Job>, faultFree: boolean): string[] => {
  const byJob = new Map<string, number[]>();
  for (const { job_id, epoch } of lines) byJob.set(job_id, [...(byJob.get(job_id) ?? []), epoch]);
  const problems: string[] = [];
  for (const [job_id, epochs] of byJob) {
    const job = jobs.get(job_id);
    if (job) problems.push(...checkEpochs(job_id, epochs, job.epoch));
    else problems.push(`${job_id} had a side effect and is not there`);
  }
  for (const [job_id, job] of jobs) {
    const epochs = byJob.get(job_id) ?? [];
    const writes = job.spec.labels?.[LEDGER_LABEL] !== undefined;
    if (writes && job.state === 'completed' && !epochs.includes(job.epoch))
      problems.push(`${job_id} completed in epoch ${job.epoch} without a side effect of that epoch`);
    if (writes && faultFree && job.state === 'completed' && epochs.length !== job.attempt)
      problems.push(`${job_id} had ${epochs.length} side effects in ${job.attempt} attempts, and no fault`);
  }
  return problems;
};

const checkEpochs = (job_id: string, epochs: number[], known: number): string[] => {
  const counts = new Map<number, number>();
  for (const epoch of epochs) counts.set(epoch, (counts.get(epoch) ?? 0) + 1);
  return [...counts].flatMap(([epoch, count]) => [
    ...(count > 1 ? [`${job_id} had the side effect of epoch ${epoch} ${count} times`] : []),
    ...(epoch >= 1 && epoch <= known
      ? []
      : [`${job_id} had a side effect in epoch ${epoch}, and only ${known} epochs`]),
  ]);
};
