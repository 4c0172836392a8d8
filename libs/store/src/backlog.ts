import type { JobSpec } from '@berth/domain';
import type { Scripts } from './scripts.js';

/** A job on its way into BullMQ. `dispatch` counts its messages, so that a new one is never taken for an old one. */
export interface Dispatch {
  job_id: string;
  dispatch: number;
  priority: number;
  spec: JobSpec;
}

/**
 * The pending jobs that BullMQ does not hold yet, and the window of those that it does. The record's own scripts put jobs in and
 * take them out; here is what moves them on.
 */
export const createBacklog = (scripts: Scripts) => ({
  /** Takes up to `limit` of the best jobs of a class, while BullMQ holds fewer than `window`. The caller adds their messages. */
  async dispatch(className: string, window: number, limit: number): Promise<Dispatch[]> {
    const flat = (await scripts.run('dispatch', className, window, limit)) as string[];
    const jobs: Dispatch[] = [];
    for (let i = 0; i < flat.length; i += 4) {
      const [job_id = '', dispatch, priority, spec = ''] = flat.slice(i, i + 4);
      jobs.push({ job_id, dispatch: Number(dispatch), priority: Number(priority), spec: JSON.parse(spec) as JobSpec });
    }
    return jobs;
  },

  /** Jobs dispatched longer than `age_ms` ago that nobody has claimed: their messages are worth a look. */
  async overdue(className: string, age_ms: number, limit = 100): Promise<Pick<Dispatch, 'job_id' | 'dispatch'>[]> {
    const flat = (await scripts.run('overdue', className, age_ms, limit)) as string[];
    const jobs: Pick<Dispatch, 'job_id' | 'dispatch'>[] = [];
    for (let i = 0; i < flat.length; i += 2) jobs.push({ job_id: flat[i] ?? '', dispatch: Number(flat[i + 1]) });
    return jobs;
  },

  /** Puts a dispatched job whose message is gone back into the backlog. */
  async redispatch(job_id: string, className: string): Promise<void> {
    await scripts.run('redispatch', job_id, className);
  },

  /** Fails up to `limit` jobs that are pending past their queue timeout; returns them, for their messages are of no use any more. */
  async failOverdue(limit = 100): Promise<(Pick<Dispatch, 'job_id' | 'dispatch'> & { class: string })[]> {
    const flat = (await scripts.run('queue-timeout', limit)) as string[];
    const jobs: (Pick<Dispatch, 'job_id' | 'dispatch'> & { class: string })[] = [];
    for (let i = 0; i < flat.length; i += 3) {
      jobs.push({ job_id: flat[i] ?? '', class: flat[i + 1] ?? '', dispatch: Number(flat[i + 2]) });
    }
    return jobs;
  },

  /**
   * For each class a job that could go into BullMQ now, or null. `seen` is what the last call returned: a job that still could is
   * returned again, so whoever calls knows since when it has been kept waiting.
   */
  async findStuck(classes: string[], window: number, seen: (string | null)[]): Promise<(string | null)[]> {
    const pairs = classes.flatMap((name, i) => [name, seen[i] ?? '']);
    const found = (await scripts.run('stuck', window, ...pairs)) as string[];
    return found.map((job_id) => (job_id === '' ? null : job_id));
  },

  /** Moves jobs whose back-off is over into the backlog; returns their classes. */
  async releaseDue(limit = 100): Promise<string[]> {
    return (await scripts.run('release-due', limit)) as string[];
  },
});

export type Backlog = ReturnType<typeof createBacklog>;
