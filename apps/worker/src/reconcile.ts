import type { JobRecord } from '@berth/store';
import type { Logger } from 'pino';
import type { Leases } from './leases.js';
import type { ContainerRuntime, ContainerSummary } from './runtime/container-runtime.js';

/**
 * Compares the containers of this installation on this engine with the record, and removes those that nobody should run: a job
 * that has ended or is gone, an epoch that is not the present one, a deadline that has passed. Every worker of the engine
 * does so; to remove twice is harmless. A running container is removed only when it was found superfluous twice in
 * a row, so that a claim seen half-way is never taken for a leftover.
 */
export type Verdict = 'keep' | 'superfluous' | 'overdue';

/** A container may outlive its deadline label by this much before others than its worker act. */
const DEADLINE_MARGIN_MS = 5_000;
export const RECONCILE_MS = 10_000;

export const judgeContainer = (found: ContainerSummary, record: JobRecord | null, now_ms: number): Verdict => {
  if (record?.state !== 'running' || record.epoch !== found.labels.epoch) return 'superfluous';
  const overdue = found.state === 'running' && now_ms > found.labels.deadline * 1000 + DEADLINE_MARGIN_MS;
  return overdue ? 'overdue' : 'keep';
};

export interface ReconcileOptions {
  runtime: ContainerRuntime;
  leases: Leases;
  readJob: (job_id: string) => Promise<JobRecord | null>;
  log: Logger;
}

/** One pass. `suspects` are the containers that the last pass found superfluous; returns those of this one. */
export const reconcile = async (options: ReconcileOptions, suspects: ReadonlySet<string>): Promise<Set<string>> => {
  const { runtime, leases, readJob, log } = options;
  const next = new Set<string>();
  for (const found of await runtime.list()) {
    const { job_id, epoch } = found.labels;
    if (leases.find(job_id)?.claim.epoch === epoch) continue;
    const verdict = judgeContainer(found, await readJob(job_id), Date.now());
    if (verdict === 'keep') continue;
    if (verdict === 'superfluous' && !suspects.has(found.id)) {
      next.add(found.id);
      continue;
    }
    const note = { job_id, epoch, container: found.id, verdict };
    log.warn(note, 'removing a container that nobody should run');
    await runtime
      .open(found.id)
      .remove()
      .catch((err) => log.warn({ ...note, err }, 'could not remove a container; the next pass tries again'));
  }
  return next;
};
