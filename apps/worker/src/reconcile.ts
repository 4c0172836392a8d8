import { judgeContainer } from '@berth/domain';
import type { JobRecord } from '@berth/store';
import type { Logger } from 'pino';
import type { DeadlineClock } from './deadline-clock.js';
import { FENCE_AFTER_MS } from './fence.js';
import type { Leases } from './leases.js';
import type { ContainerRuntime, ContainerSummary } from './runtime/container-runtime.js';

export const RECONCILE_MS = 10_000;

export interface ReconcileOptions {
  runtime: ContainerRuntime;
  leases: Leases;
  readJob: (job_id: string) => Promise<JobRecord | null>;
  clock: DeadlineClock;
  log: Logger;
}

/**
 * One pass over the containers of this installation on this engine. Of those that this worker does not hold, what the record does not
 * want is removed and what is past its deadline is killed (see `judgeContainer`). Every worker of the engine does so; twice is
 * harmless. What should be adopted is found by the record, not here. What this worker holds and finds paused, it unpauses.
 * `suspects` are the containers that the last pass found superfluous; returns those of this one.
 */
export const reconcile = async (options: ReconcileOptions, suspects: ReadonlySet<string>): Promise<Set<string>> => {
  const { runtime, leases, readJob, clock, log } = options;
  const next = new Set<string>();
  const all = await runtime.list();
  clock.look(all.map(({ id }) => id));
  for (const found of all) {
    const now = clock.now(found.id);
    const { job_id, epoch } = found.labels;
    if (leases.find(job_id)?.claim.epoch === epoch) {
      if (found.paused) await goOn(found.id, options);
      continue;
    }
    const verdict = judgeContainer(toFound(found), await readJob(job_id), now);
    if (verdict === 'keep') continue;
    if (verdict === 'superfluous' && !suspects.has(found.id)) {
      next.add(found.id);
      continue;
    }
    const note = { job_id, epoch, container: found.id, verdict };
    log.warn(
      note,
      verdict === 'overdue' ? 'killing a container past its deadline' : 'removing a container that nobody should run',
    );
    const container = runtime.open(found.id);
    await (verdict === 'overdue' ? container.stop(0) : container.remove()).catch((err) =>
      log.warn({ ...note, err }, 'could not end a container; the next pass tries again'),
    );
  }
  return next;
};

/** It may have been paused, by a former owner that was cut off, after this worker took it over. */
const goOn = async (id: string, { runtime, leases, log }: ReconcileOptions): Promise<void> => {
  if (performance.now() - leases.renewedAt > FENCE_AFTER_MS) return;
  log.warn({ container: id }, 'found a container paused; it goes on');
  await runtime
    .open(id)
    .unpause()
    .catch((err) => log.warn({ err, container: id }, 'could not unpause a container; the next pass tries again'));
};

const toFound = ({ labels, state }: ContainerSummary) => ({
  epoch: labels.epoch,
  running: state === 'running',
  deadline_ms: labels.deadline * 1000,
});
