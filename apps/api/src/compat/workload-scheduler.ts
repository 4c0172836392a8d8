import { checkInteger } from '@berth/domain';
import type { EventFeed, Store } from '@berth/store';
import type { Context } from 'hono';
import { createWake } from '../wake.js';
import { unprocessable } from './fastapi-errors.js';
import { toNaiveTime } from './wire-time.js';
import { readParameter } from './workload.js';
import { type SizeCounts, toExecutors, toSize } from './workload-cluster.js';

/** How long a scheduling pass is watched while jobs are left that no machine takes. */
const PASS_MS = 300;
const DEFAULT_CLEANUP_MINUTES = 60;

export interface SchedulerOptions {
  store: Store;
  feed: EventFeed;
  /** Makes the relay look at every class's backlog. */
  kick: () => void;
  /** Fails what has waited too long; returns how many. */
  failOverdue: () => Promise<number>;
  now: () => number;
}

const readQueue = async ({ list, readPendingAsks }: Pick<Store, 'list' | 'readPendingAsks'>) => {
  const pending_by_size: SizeCounts = { small: 0, medium: 0, large: 0 };
  for await (const page of readPendingAsks()) for (const ask of page) pending_by_size[toSize(ask)] += 1;
  const [{ running }, oldest] = await Promise.all([list.countByState(['running']), list.oldestPending()]);
  return {
    pending_jobs: pending_by_size.small + pending_by_size.medium + pending_by_size.large,
    running_jobs: running,
    pending_by_size,
    oldest_pending_job: oldest && toNaiveTime(oldest.created_at),
  };
};

/** What the workload runner's clients ask of the cluster as a whole, and the passes that its operators start by hand. */
export const createWorkloadScheduler = (options: SchedulerOptions) => {
  const { store, feed, kick, failOverdue, now } = options;
  const { workers, list } = store;
  let reading: ReturnType<typeof readQueue> | undefined;

  /** Whoever asks while the queue is being counted gets the same count. */
  const readQueueOnce = (): ReturnType<typeof readQueue> => {
    reading ??= readQueue(store).finally(() => {
      reading = undefined;
    });
    return reading;
  };

  /** Jobs that workers claim while a pass runs, until none is pending or the time is up. */
  const watchPass = async (signal: AbortSignal): Promise<{ job_id: string; executor_ip: string }[]> => {
    const claimed: { job_id: string; executor_ip: string }[] = [];
    const wake = createWake();
    const leave = feed.subscribe((event) => {
      if (event === 'resynced' || event.type !== 'claimed') return;
      claimed.push({ job_id: event.job_id, executor_ip: String(event.data.node) });
      wake.ring();
    });
    const end = now() + PASS_MS;
    try {
      kick();
      while (now() < end && !signal.aborted && (await list.countByState(['pending'])).pending > 0) {
        await wake.wait(Math.max(1, end - now()), signal);
      }
    } finally {
      leave();
    }
    return claimed;
  };

  return {
    async executors(c: Context): Promise<Response> {
      return c.json(toExecutors(await workers.readNodes()), 200);
    },

    async stats(c: Context): Promise<Response> {
      const [queue, nodes] = await Promise.all([readQueueOnce(), workers.readNodes()]);
      return c.json({ queue, cluster: toExecutors(nodes).cluster_stats, timestamp: toNaiveTime(now()) }, 200);
    },

    /** Workers take jobs by themselves at any time; this reports those that they took just now. */
    async schedule(c: Context): Promise<Response> {
      const claimed = await watchPass(c.req.raw.signal);
      const jobs = await store.jobs.readMany(claimed.map(({ job_id }) => job_id));
      const ours = new Set(jobs.filter(({ format }) => format === 'workload').map(({ job_id }) => job_id));
      const assignments = claimed.filter(({ job_id }) => ours.has(job_id));
      return c.json({ scheduled_jobs: assignments.length, assignments }, 200);
    },

    /** A running job is never stale here: its worker renews it, or others take it over. Only overdue waiting ones are ended. */
    async cleanup(c: Context): Promise<Response> {
      const input = readParameter(c, 'timeout_minutes') ?? DEFAULT_CLEANUP_MINUTES;
      const { value: timeout_minutes, details } = checkInteger(input, ['query', 'timeout_minutes'], { ge: 0 });
      if (details) throw unprocessable(details);
      return c.json({ cleaned_jobs: await failOverdue(), timeout_minutes }, 200);
    },
  };
};
