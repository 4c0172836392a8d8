import type { JobSpec } from '@berth/domain';
import type { Scripts } from './scripts.js';
import { toSpec } from './spec-text.js';

/** A job on its way into BullMQ, and the ticket that was issued for it: the id of its message, never used twice. */
export interface Dispatch {
  job_id: string;
  ticket: string;
  priority: number;
  spec: JobSpec;
}

/** A job that has waited too long. Its ticket, if there is one, is of no use any more. */
export interface Overdue {
  job_id: string;
  class: string;
  ticket: string | null;
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
      const [job_id = '', ticket = '', priority, spec = ''] = flat.slice(i, i + 4);
      jobs.push({ job_id, ticket, priority: Number(priority), spec: toSpec(spec) });
    }
    return jobs;
  },

  /** Jobs dispatched longer than `age_ms` ago that nobody has claimed: their messages are worth a look. */
  async overdue(className: string, age_ms: number, limit = 100): Promise<Pick<Dispatch, 'job_id' | 'ticket'>[]> {
    const flat = (await scripts.run('overdue', className, age_ms, limit)) as string[];
    const jobs: Pick<Dispatch, 'job_id' | 'ticket'>[] = [];
    for (let i = 0; i < flat.length; i += 2) jobs.push({ job_id: flat[i] ?? '', ticket: flat[i + 1] ?? '' });
    return jobs;
  },

  /** Puts a dispatched job back into the backlog, where the ticket whose message is gone still is its own. */
  async redispatch(job_id: string, className: string, ticket = ''): Promise<void> {
    await scripts.run('redispatch', job_id, className, ticket);
  },

  /** Fails up to `limit` jobs that are pending past their queue timeout; returns them, whose messages are of no use any more. */
  async failOverdue(limit = 100): Promise<Overdue[]> {
    const flat = (await scripts.run('queue-timeout', limit)) as string[];
    const jobs: Overdue[] = [];
    for (let i = 0; i < flat.length; i += 3) {
      jobs.push({ job_id: flat[i] ?? '', class: flat[i + 1] ?? '', ticket: flat[i + 2] || null });
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

  /**
   * Goes on with what ends of jobs have set going for those that depend on them, where one script was not to do it all; returns how
   * many ends are left. The same ones may be shared by several callers.
   */
  async judgeDependants(): Promise<number> {
    return (await scripts.run('judge')) as number;
  },

  /** Moves jobs whose back-off is over into the backlog; returns their classes. */
  async releaseDue(limit = 100): Promise<string[]> {
    return (await scripts.run('release-due', limit)) as string[];
  },
});

export type Backlog = ReturnType<typeof createBacklog>;
