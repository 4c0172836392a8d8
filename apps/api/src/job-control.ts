import { AppError } from '@berth/domain';
import type { ControlReply, JobControl, JobRecord } from '@berth/store';
import type { Jobs } from './jobs.js';

interface ControlOptions {
  control: JobControl;
  jobs: Pick<Jobs, 'read' | 'requeue'>;
  /** Says that a class has a job that waits for a machine again. Must return at once. */
  onReleased: (className: string) => void;
  /** Says that a job does not wait any more, whose message may still be on its way. Must return at once. */
  onHeld: (className: string, ticket: string) => void;
}

const MISSING = new AppError('not_found', 'There is no such job.');

/** Throws AppError `not_found`, or `conflict` with the state. */
const requirePending = (reply: ControlReply, what: string) => {
  if (reply.kind === 'done') return reply;
  if (reply.kind === 'missing') throw MISSING;
  throw new AppError('conflict', `The job is ${reply.state}: only a pending job can be ${what}.`, {
    details: { state: reply.state },
  });
};

/** What is done to jobs after their submit, beside a cancel. Each throws AppError `not_found`, or `conflict` where it comes too late. */
export const createJobActions = ({ control, jobs, onReleased, onHeld }: ControlOptions) => ({
  async hold(job_id: string): Promise<JobRecord> {
    const reply = requirePending(await control.hold(job_id), 'held');
    if (reply.ticket !== null) onHeld(reply.class, reply.ticket);
    return jobs.read(job_id);
  },

  async release(job_id: string): Promise<JobRecord> {
    const reply = requirePending(await control.unhold(job_id), 'released');
    onReleased(reply.class);
    return jobs.read(job_id);
  },

  async reprioritize(job_id: string, priority: number): Promise<JobRecord> {
    requirePending(await control.reprioritize(job_id, priority), 'given another priority');
    return jobs.read(job_id);
  },

  requeue: jobs.requeue,
});

export type JobActions = ReturnType<typeof createJobActions>;
