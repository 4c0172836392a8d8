import type { FeedListener, Store } from '@berth/store';
import { Hono } from 'hono';
import { describe, expect, it, vi } from 'vitest';
import { createWorkloadScheduler } from './workload-scheduler.js';

const FORMATS: Record<string, string> = { ours: 'workload', other: 'v1' };

/** A scheduler between a feed and a record that the test plays; its clock stands still. */
const openPass = () => {
  const listeners = new Set<FeedListener>();
  let pending = 1;
  const store = {
    list: { countByState: async () => ({ pending }) },
    jobs: { readMany: async (ids: string[]) => ids.map((job_id) => ({ job_id, format: FORMATS[job_id] })) },
  } as unknown as Store;
  const feed = {
    subscribe: (listener: FeedListener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    close: async () => {},
  };
  const kick = vi.fn();
  const scheduler = createWorkloadScheduler({ store, feed, kick, failOverdue: async () => 0, now: () => 0 });
  const app = new Hono().post('/schedule', scheduler.schedule);
  const emit = (event: Parameters<FeedListener>[0]) => {
    for (const listener of listeners) listener(event);
  };
  const claim = (job_id: string, node: string) =>
    emit({ job_id, class: 'small', seq: 2, type: 'claimed', at: 0, state: 'running', data: { node } });
  return {
    kick,
    listeners,
    emit,
    claim,
    noneIsLeft: () => {
      pending = 0;
    },
    schedule: async () => (await app.request('/schedule', { method: 'POST' })).json(),
  };
};

describe('a scheduling pass', () => {
  it('kicks every queue once it listens, and reports the jobs of its format that were claimed, with their machines', async () => {
    const pass = openPass();
    pass.kick.mockImplementation(() => expect(pass.listeners.size).toBe(1));
    const reply = pass.schedule();
    await vi.waitFor(() => expect(pass.kick).toHaveBeenCalledOnce());
    pass.emit('resynced');
    pass.claim('other', 'n1');
    pass.noneIsLeft();
    pass.claim('ours', 'n2');
    expect(await reply).toEqual({ scheduled_jobs: 1, assignments: [{ job_id: 'ours', executor_ip: 'n2' }] });
    expect(pass.listeners.size).toBe(0);
  });

  it('ends at once where nothing waits', async () => {
    const pass = openPass();
    pass.noneIsLeft();
    expect(await pass.schedule()).toEqual({ scheduled_jobs: 0, assignments: [] });
  });
});
