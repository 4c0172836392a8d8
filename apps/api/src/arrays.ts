import { AppError, type ArrayAsk } from '@berth/domain';
import type { ArrayRecord, NewJob, Store } from '@berth/store';
import type { Jobs, Submission } from './jobs.js';

interface SubmittedArray {
  array: ArrayRecord;
  /** The Idempotency-Key was known: `array` is the one that it made, as it stands now. */
  replayed: boolean;
}

interface ArraysOptions {
  store: Pick<Store, 'arrays'>;
  jobs: Pick<Jobs, 'prepareArray' | 'admit'>;
  /** Says that arrays have become jobs to be. Must return at once. */
  onReady: () => void;
  /** Says that a pending job was cancelled, whose message may still be on its way. Must return at once. */
  onCancelled: (className: string, ticket: string) => void;
}

const toMissing = (): AppError => new AppError('not_found', 'There is no such array.');

/** Whether a body asks for an array. What is wrong with it is found later. */
export const asksForArray = (body: unknown): boolean =>
  typeof body === 'object' && body !== null && 'array' in body && body.array !== undefined;

/** Submit, read, cancel and rerun. */
export const createArrays = ({ store: { arrays: store }, jobs, onReady, onCancelled }: ArraysOptions) => {
  const read = async (array_id: string): Promise<ArrayRecord> => {
    const array = await store.read(array_id);
    if (!array) throw toMissing();
    return array;
  };

  return {
    read,

    /** Throws as `Jobs.submit` does. */
    async submit(input: unknown, how: Submission): Promise<SubmittedArray> {
      const prepared: { job: NewJob; array: ArrayAsk } = jobs.prepareArray(input, how);
      await jobs.admit();
      const { array_id, replayed } = await store.add(prepared);
      onReady();
      return { array: await read(array_id), replayed };
    },

    /**
     * Cancels what has not ended: what is not a job yet at once, the jobs step by step, and running ones as a job is cancelled. Should this
     * process die on the way, the sweep goes on. Throws AppError `job_finished` with the state, or `not_found`.
     */
    async cancel(array_id: string): Promise<ArrayRecord> {
      for (let how: 'begin' | 'go on' = 'begin'; ; how = 'go on') {
        const reply = await store.cancel(array_id, how);
        if (reply.kind === 'missing') throw toMissing();
        if (reply.kind === 'finished') {
          throw new AppError('job_finished', `The array is ${reply.state} already.`, {
            details: { state: reply.state },
          });
        }
        for (const ticket of reply.tickets) onCancelled(reply.class, ticket);
        if (reply.left === 0) return read(array_id);
      }
    },

    /**
     * Runs the failed indices once more, and only these. Twice is once: the second time none is failed. Throws AppError `not_found`, and
     * `input_not_found` where its files were removed since.
     */
    async rerun(array_id: string): Promise<{ array: ArrayRecord; rerun: number }> {
      await jobs.admit();
      const rerun = await store.rerun(array_id);
      if (rerun === null) throw toMissing();
      onReady();
      return { array: await read(array_id), rerun };
    },
  };
};

export type Arrays = ReturnType<typeof createArrays>;
