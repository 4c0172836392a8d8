import { AppError, isTerminal, LOCAL_USER } from '@berth/domain';
import {
  type Accepted,
  type JobRecord,
  type JobStore,
  type NewJob,
  toBucket,
  toNewShape,
  toNoInput,
  type Uploads,
} from '@berth/store';
import { createPreparation, type PreparationOptions, type Submission } from './prepare-job.js';

export type { Submission } from './prepare-job.js';

export interface Submitted {
  job: JobRecord;
  /** The Idempotency-Key was known: `job` is the one that it made, as it stands now. */
  replayed: boolean;
}

interface JobsOptions extends PreparationOptions {
  store: JobStore;
  uploads: Pick<Uploads, 'touch'>;
  /** Throws AppError `unavailable` while no jobs are accepted. */
  admit: () => Promise<void>;
  /** Says that a class has a new job. Must return at once. */
  onAccepted: (className: string) => void;
  /** Says that a pending job was cancelled, whose message may still be on its way. Must return at once. */
  onCancelled: (className: string, ticket: string) => void;
}

/** The record that `accept` has just written, without reading it back. */
const toNewRecord = (job: NewJob, { job_id, created_at, after_left }: Accepted): JobRecord => ({
  job_id,
  state: 'pending',
  class: job.class,
  user: job.user ?? LOCAL_USER,
  bucket: toBucket(job) || (job.user ?? LOCAL_USER),
  shape: toNewShape(job),
  format: job.format ?? 'v1',
  spec: job.spec,
  request: job.request ?? null,
  priority: job.spec.priority,
  created_at,
  changed_at: created_at,
  started_at: null,
  first_started_at: null,
  finished_at: null,
  cause: null,
  exit_code: null,
  message: null,
  node: null,
  owner: null,
  image_digest: null,
  epoch: 0,
  attempt: 1,
  attempts: [],
  cancel_requested: false,
  due_at: null,
  held: job.hold ?? false,
  after_left,
  array_id: null,
  array_index: null,
  requeued_from: job.requeued_from ?? null,
  gpu_uuids: [],
  usage: null,
});

const checkRequeue = ({ state, array_id }: JobRecord): void => {
  if (!isTerminal(state)) {
    throw new AppError('conflict', `The job is ${state}: only a finished one can be requeued.`, { details: { state } });
  }
  if (array_id !== null) {
    throw new AppError('conflict', 'The job is part of an array: run the failed ones of the array again instead.');
  }
};

const createRead =
  ({ read }: Pick<JobStore, 'read'>) =>
  async (job_id: string): Promise<JobRecord> => {
    const job = await read(job_id);
    if (!job) throw new AppError('not_found', 'There is no such job.');
    return job;
  };

/** Throws AppError `input_not_found`. */
const touchInputs = async (uploads: Pick<Uploads, 'touch'>, user: string, { spec }: NewJob): Promise<void> => {
  const { inputs = [] } = spec;
  const file_ids = inputs.map(({ file_id }) => file_id);
  const missing = await uploads.touch(user, file_ids);
  if (missing.length > 0) throw toNoInput(inputs, missing);
};

/** Submit, read and cancel, for /v1 and for the kept wire formats alike. */
export const createJobs = (options: JobsOptions) => {
  const { store, uploads, admit, onAccepted, onCancelled } = options;
  const { complete, prepare, prepareArray } = createPreparation(options);
  const read = createRead(store);

  const accept = async (job: NewJob): Promise<Submitted> => {
    await admit();
    const accepted = await store.accept(job);
    onAccepted(job.class);
    if (accepted.replayed) return { job: await read(accepted.job_id), replayed: true };
    return { job: accepted.ended ? await read(accepted.job_id) : toNewRecord(job, accepted), replayed: false };
  };

  return {
    read,

    /** What an array is made of: checked, complete, and sorted into a class. Throws as `submit` does. */
    prepareArray,

    /** What a submit of the same body would accept, and throws what it would: for whoever only wants to look. */
    prepare,

    /** Throws what a submit of the same body would: for whoever submits it later. */
    check: async (input: unknown, user: string): Promise<void> => touchInputs(uploads, user, prepare(input, { user })),

    /** Throws AppError `unavailable` while no jobs are accepted: for whoever is about to submit many. */
    admit,

    /** Accepts a spec as it came from outside, or throws AppError: `invalid_request`, `no_class_fits`, `unavailable`, … */
    submit: async (input: unknown, how: Submission = {}): Promise<Submitted> => accept(prepare(input, how)),

    /**
     * Runs a finished job once more: a new job with the same spec, of the same user, that waits for nobody. Throws AppError `conflict` where the
     * job has not finished, or belongs to an array.
     */
    async requeue(from: JobRecord, idempotency_key?: string): Promise<Submitted> {
      checkRequeue(from);
      const { after: _after, hold: _hold, ...spec } = from.spec;
      const { format, request, user, job_id: requeued_from } = from;
      const named = format === 'orchestrator' ? from.class : undefined;
      const how = { format, ...(request ? { request } : {}), user, class: named };
      return accept(complete(spec, { ...how, requeued_from, idempotency_key }));
    },

    /** Cancels, once or again, and returns the job as it stands. Throws AppError `job_finished` with the state, or `not_found`. */
    async cancel(job_id: string): Promise<JobRecord> {
      const reply = await store.cancel(job_id);
      if (reply.kind === 'missing') throw new AppError('not_found', 'There is no such job.');
      if (reply.kind === 'finished') {
        throw new AppError('job_finished', `The job is ${reply.state} already.`, { details: { state: reply.state } });
      }
      if (reply.kind === 'cancelled' && reply.ticket !== null) onCancelled(reply.class, reply.ticket);
      return read(job_id);
    },
  };
};

export type Jobs = ReturnType<typeof createJobs>;
