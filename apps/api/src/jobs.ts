import {
  AppError,
  findClass,
  imageCommandSpecSchema,
  type JobSpec,
  jobSpecSchema,
  type ResourceClass,
  type Resources,
  toAsk,
} from '@berth/domain';
import type { Accepted, JobRecord, JobStore, NewJob, WireFormat } from '@berth/store';
import { toProblems } from './errors.js';
import { checkRegistry } from './image-policy.js';

/** How a job came in, beside its spec. */
export interface Submission {
  /** Default `v1`. */
  format?: WireFormat;
  /** What a kept wire format wants back in its replies. */
  request?: Record<string, unknown>;
  idempotency_key?: string | undefined;
  /** Default 0; only a kept wire format can ask for GPUs as yet. */
  gpus?: number;
  /** Instead of the spec's own, for a kept wire format, whose bounds are others. */
  queue_timeout_seconds?: number;
}

export interface Submitted {
  job: JobRecord;
  /** The Idempotency-Key was known: `job` is the one that it made, as it stands now. */
  replayed: boolean;
}

interface JobsOptions {
  store: JobStore;
  /** Throws AppError `unavailable` while no jobs are accepted. */
  admit: () => Promise<void>;
  classes: ResourceClass[];
  defaultImage: string;
  allowedRegistries: string[];
  /** Says that a class has a new job. Must return at once. */
  onAccepted: (className: string) => void;
  /** Says that a pending job was cancelled, whose message may still be on its way. Must return at once. */
  onCancelled: (className: string, job_id: string, dispatch: number) => void;
}

/** In the workload runner's format an empty command is the image's own. */
const toSchema = (format: WireFormat | undefined) => (format === 'workload' ? imageCommandSpecSchema : jobSpecSchema);

const parseSpec = (input: unknown, format: WireFormat | undefined, defaultImage: string): JobSpec => {
  const parsed = toSchema(format).safeParse(input);
  if (!parsed.success) {
    throw new AppError('invalid_request', 'The job is not valid.', { problems: toProblems(parsed.error) });
  }
  return { ...parsed.data, image: parsed.data.image ?? defaultImage };
};

const toLimits = (c: ResourceClass): string =>
  `${c.name} (at most ${c.max_cpus} CPUs, ${c.max_memory_mb} MB${c.max_gpus > 0 ? `, ${c.max_gpus} GPUs, for jobs with GPUs only` : ''})`;

const pickClass = (classes: ResourceClass[], ask: Resources): string => {
  const found = findClass(classes, ask);
  if (found) return found.name;
  throw new AppError(
    'no_class_fits',
    `No resource class holds the job. There are: ${classes.map(toLimits).join('; ')}.`,
    {
      problems: [{ path: '$', message: 'asks for more than any resource class holds' }],
    },
  );
};

/** The record that `accept` has just written, without reading it back. */
const toNewRecord = (job: NewJob, { job_id, created_at }: Accepted): JobRecord => ({
  job_id,
  state: 'pending',
  class: job.class,
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
});

/** Submit, read and cancel, for /v1 and for the kept wire formats alike. */
export const createJobs = (options: JobsOptions) => {
  const { store, admit, classes, defaultImage, allowedRegistries, onAccepted, onCancelled } = options;

  const prepare = (input: unknown, how: Submission): NewJob => {
    const { format, request, idempotency_key, gpus = 0 } = how;
    const spec = parseSpec(input, format, defaultImage);
    const queue_timeout_seconds = how.queue_timeout_seconds ?? spec.queue_timeout_seconds;
    // The default image is the operator's own choice.
    if (spec.image !== defaultImage) checkRegistry(spec.image, allowedRegistries);
    const ask = { ...toAsk(spec), gpus };
    return {
      spec,
      ask,
      class: pickClass(classes, ask),
      ...(format ? { format } : {}),
      ...(request ? { request } : {}),
      ...(queue_timeout_seconds === undefined ? {} : { queue_timeout_seconds }),
      ...(idempotency_key === undefined
        ? {}
        : {
            idempotency: { key: idempotency_key, body: JSON.stringify([format ?? 'v1', spec, gpus, request ?? null]) },
          }),
    };
  };

  const read = async (job_id: string): Promise<JobRecord> => {
    const job = await store.read(job_id);
    if (!job) throw new AppError('not_found', 'There is no such job.');
    return job;
  };

  return {
    read,

    /** Throws AppError `unavailable` while no jobs are accepted: for whoever is about to submit many. */
    admit,

    /** Accepts a spec as it came from outside, or throws AppError: `invalid_request`, `no_class_fits`, `unavailable`, … */
    async submit(input: unknown, how: Submission = {}): Promise<Submitted> {
      const job = prepare(input, how);
      await admit();
      const accepted = await store.accept(job);
      onAccepted(job.class);
      if (accepted.replayed) return { job: await read(accepted.job_id), replayed: true };
      return { job: toNewRecord(job, accepted), replayed: false };
    },

    /** Cancels, once or again, and returns the job as it stands. Throws AppError `job_finished` with the state, or `not_found`. */
    async cancel(job_id: string): Promise<JobRecord> {
      const reply = await store.cancel(job_id);
      if (reply.kind === 'missing') throw new AppError('not_found', 'There is no such job.');
      if (reply.kind === 'finished') {
        throw new AppError('job_finished', `The job is ${reply.state} already.`, { details: { state: reply.state } });
      }
      if (reply.kind === 'cancelled') onCancelled(reply.class, job_id, reply.dispatch);
      return read(job_id);
    },
  };
};

export type Jobs = ReturnType<typeof createJobs>;
