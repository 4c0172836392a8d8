import type { JobState } from '@berth/domain';
import type { Scripts } from './scripts.js';

/** `refused`: only what is pending can be held, released or moved. A ticket that comes back is of no use any more. */
export type ControlReply =
  | { kind: 'done'; class: string; ticket: string | null }
  | { kind: 'refused'; state: JobState }
  | { kind: 'missing' };

const toReply = ([kind, second = '', ticket]: string[]): ControlReply => {
  if (kind === 'missing') return { kind };
  if (kind === 'refused') return { kind, state: second as JobState };
  return { kind: 'done', class: second, ticket: ticket || null };
};

/** What is done to pending jobs from outside, beside a cancel. Each is one script; to ask for it twice is to ask once. */
export const createJobControl = (scripts: Scripts) => ({
  hold: async (job_id: string): Promise<ControlReply> => toReply((await scripts.run('hold', job_id)) as string[]),

  unhold: async (job_id: string): Promise<ControlReply> => toReply((await scripts.run('unhold', job_id)) as string[]),

  reprioritize: async (job_id: string, priority: number): Promise<ControlReply> =>
    toReply((await scripts.run('reprioritize', job_id, priority)) as string[]),
});

export type JobControl = ReturnType<typeof createJobControl>;
