import { addConsumption, NO_CONSUMPTION } from '@berth/domain';
import { type History, toUsageRows, type UsageQuestion, type UsageSum } from '@berth/history';
import type { Archiving, JobRecord, JobStore } from '@berth/store';

interface ReportOptions {
  /** Of Redis alone. */
  jobs: Pick<JobStore, 'readMany'>;
  archiving: Pick<Archiving, 'walkFinished'>;
  /** Undefined: finished jobs are nowhere else. */
  history: Pick<History, 'readUsage'> | undefined;
}

export type ReadUsageReport = (question: UsageQuestion) => Promise<UsageSum[]>;

type Sums = Map<string, UsageSum>;

const add = (sums: Sums, sum: UsageSum): void => {
  const before = sums.get(sum.key) ?? { key: sum.key, jobs: 0, attempts: 0, ...NO_CONSUMPTION };
  const total = { key: sum.key, jobs: before.jobs + sum.jobs, attempts: before.attempts + sum.attempts };
  sums.set(sum.key, { ...total, ...addConsumption(before, sum) });
};

const addJob = (sums: Sums, job: JobRecord, by: UsageQuestion['by']): void => {
  for (const { node, is_first, ...row } of toUsageRows(job)) {
    if (by === 'node' && node === '') continue;
    add(sums, { key: by === 'node' ? node : job[by], jobs: by === 'node' || is_first ? 1 : 0, ...row });
  }
};

/**
 * Adds up what finished jobs have used, wherever they are. Redis first, and of the archive then all but what was counted there: a job that moves
 * in between counts once. Sorted by what was reserved, most first. Throws AppError `unavailable` where the archive is away.
 */
export const createUsageReport =
  ({ jobs, archiving, history }: ReportOptions): ReadUsageReport =>
  async (question) => {
    const { by, from, to, user } = question;
    const sums: Sums = new Map();
    const counted: string[] = [];
    for await (const ids of archiving.walkFinished({ from, to }, user)) {
      const found = (await jobs.readMany(ids)).filter((job) => user === undefined || job.user === user);
      for (const job of found) addJob(sums, job, by);
      if (history) counted.push(...found.map(({ job_id }) => job_id));
    }
    for (const sum of (await history?.readUsage(question, counted)) ?? []) add(sums, sum);
    return [...sums.values()].sort((a, b) => b.cpu_reserved_ms - a.cpu_reserved_ms || (a.key < b.key ? -1 : 1));
  };
