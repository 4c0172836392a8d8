import {
  AppError,
  findClass,
  findServiceFault,
  isTerminal,
  jobSpecSchema,
  type Principal,
  type ResourceClass,
  type ServiceState,
  toAsk,
  toServiceSpec,
  toServiceState,
} from '@berth/domain';
import {
  type Claims,
  createJobId,
  type FileStore,
  type FormSource,
  type JobRecord,
  keepReceived,
  type NewJob,
  type OutputNames,
  objectNames,
  type ReceivedFile,
  receiveForm,
  type Store,
} from '@berth/store';
import type { Logger } from 'pino';
import type { RunningWorker } from './worker.js';

const MAX_BYTES = 2 * 1024 ** 3;
const MAX_FILES = 1_000;

export interface PayloadsOptions {
  /** Fails soon where the broker is away: somebody waits for the answer. */
  store: Pick<Store, 'jobs' | 'numbers' | 'uploads' | 'partials'>;
  files: FileStore;
  claims: Pick<Claims, 'claim'>;
  worker: Pick<RunningWorker, 'run' | 'claimant'>;
  classes: ResourceClass[];
  defaultImage: string;
  /** Of one file, and of all uploads of a user. Undefined: no limit. */
  maxFileBytes: number;
  uploadQuotaBytes: number | undefined;
  log: Logger;
}

export interface Payload {
  id: number;
  status: ServiceState;
  job: JobRecord | null;
}

const toPayload = (id: number, job: JobRecord | null): Payload => ({
  ...{ id, job },
  status: job === null ? 'Cleaned' : toServiceState(job, Number.NEGATIVE_INFINITY),
});

const toNewJob = (user: string, received: ReceivedFile[], options: PayloadsOptions): NewJob => {
  const named = [...new Map(received.map(({ name, sha256 }) => [name, { name, file_id: sha256 }])).values()];
  const parsed = jobSpecSchema.safeParse(toServiceSpec({}, named));
  if (!parsed.success)
    throw new AppError('invalid_request', parsed.error.issues[0]?.message ?? 'The files are not valid');
  const { array: _, ...spec } = parsed.data;
  const found = findClass(options.classes, toAsk(spec));
  if (!found) throw new Error('no resource class holds even a small job');
  const invalid = findServiceFault(named);
  return {
    spec: { ...spec, image: options.defaultImage },
    ...{ user, class: found.name, across_users: found.priority_across_users, format: 'orchestrator' },
    ask: toAsk(spec),
    request: invalid ? { invalid } : {},
    ...(invalid ? { never: invalid } : {}),
  };
};

/** Where all that it left is kept. Undefined: it has left nothing. */
export const findPack = ({ job }: Payload): OutputNames | undefined => {
  const epoch = job?.attempts.findLast(({ artifacts }) => artifacts)?.artifacts?.epoch;
  if (!job || epoch === undefined) return undefined;
  return objectNames.outputs(job.job_id, epoch);
};

/** Accepts a payload, and claims it for this worker at once; where it has no room, any machine may run it. */
const createAccept = (options: PayloadsOptions) => {
  const { store, claims, worker, log } = options;
  const runHere = async (job_id: string): Promise<void> => {
    const reply = await claims.claim(job_id, worker.claimant);
    if (reply.kind === 'claimed') await worker.run(reply.claim);
  };
  return async (user: string, received: ReceivedFile[]): Promise<Payload> => {
    const job = toNewJob(user, received, options);
    const job_id = createJobId(Date.now());
    const id = await store.numbers.give({ job_id, user });
    const accepting = store.jobs.accept({ ...job, job_id, request: { ...job.request, id } });
    const { ended } = await accepting.catch(async (error) => {
      // Where Redis did not answer it may have been accepted all the same.
      if (error instanceof AppError && error.code !== 'unavailable') await store.numbers.drop(id);
      throw error;
    });
    if (!ended) runHere(job_id).catch((err) => log.warn({ err, job_id }, 'a payload goes through the queue'));
    return { id, status: 'Prepared', job: null };
  };
};

/**
 * What the job orchestrator's server asked of its client: files in, run them here, files out. Each payload is a recorded job like any other.
 */
export const createPayloads = (options: PayloadsOptions) => {
  const { store, files } = options;
  const accept = createAccept(options);
  return {
    /** Undefined: there is none, or it is another user's. */
    async find(id: number, { user, role }: Principal): Promise<Payload | undefined> {
      const known = await store.numbers.find(id);
      if (!known || (role !== 'operator' && known.user !== user)) return undefined;
      return toPayload(id, await store.jobs.read(known.job_id));
    },

    async submit(user: string, form: FormSource): Promise<Payload> {
      const { maxFileBytes: max_file_bytes, uploadQuotaBytes: quota_bytes } = options;
      const limits = { files, max_bytes: MAX_BYTES, max_file_bytes, max_files: MAX_FILES, onEnd: () => undefined };
      const { files: received } = await receiveForm(form, limits);
      const kept = await keepReceived({ files, uploads: store.uploads, user, quota_bytes }, received);
      try {
        return await accept(user, received);
      } catch (error) {
        await kept.drop().catch(() => undefined);
        throw error;
      }
    },

    /** Where what it has written so far is kept for a while. Undefined: nobody can look into it. */
    async findLivePack({ job }: Payload): Promise<OutputNames | undefined> {
      if (job?.state !== 'running') return undefined;
      const { job_id } = job;
      const found = await store.partials.request(job_id);
      if (typeof found === 'string') return undefined;
      return objectNames.partialOutputs(job_id, found.part);
    },

    /** False: it has ended already, in another way. */
    async kill({ job }: Payload): Promise<boolean> {
      if (job === null || (isTerminal(job.state) && job.state !== 'cancelled')) return false;
      return (await store.jobs.cancel(job.job_id)).kind !== 'finished';
    },
  };
};

export type Payloads = ReturnType<typeof createPayloads>;
