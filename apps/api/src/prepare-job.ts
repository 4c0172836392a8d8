import {
  AppError,
  type ArrayAsk,
  type Dependency,
  findClass,
  imageCommandSpecSchema,
  isBatchPlace,
  type JobSpec,
  jobSpecSchema,
  LOCAL_USER,
  type ResourceClass,
  type Resources,
  toAsk,
  toServiceGroups,
  toServiceUser,
} from '@berth/domain';
import type { NewJob, WireFormat } from '@berth/store';
import { toProblems } from './errors.js';
import { checkRegistry } from './image-policy.js';

/** How a job came in, beside its spec. */
export interface Submission {
  /** Default `v1`. */
  format?: WireFormat;
  /** What a kept wire format wants back in its replies. */
  request?: Record<string, unknown>;
  idempotency_key?: string | undefined;
  /** Whose job it is. Default: the one user of an installation without keys. */
  user?: string;
  /** Made with `createJobId`: for a batch, whose entries name each other. */
  job_id?: string;
  /** Instead of the spec's own, for a kept wire format, whose bounds are others. */
  queue_timeout_seconds?: number;
  /** The finished job that it runs once more. */
  requeued_from?: string;
  /** Its resource class, where that does not follow from its size. */
  class?: string | undefined;
  /** Accepted all the same, but it ends at once, cancelled, and this is its message. */
  never?: string | undefined;
}

export interface PreparationOptions {
  classes: ResourceClass[];
  defaultImage: string;
  allowedRegistries: string[];
}

/** A batch has put ids in the place of these. */
const checkDependencies = (after: Dependency[]): void => {
  const problems = after.flatMap(({ job }, i) =>
    isBatchPlace(job) ? [{ path: `$.after[${i}].job`, message: 'names an entry of a batch, and this is none' }] : [],
  );
  if (problems.length > 0) throw new AppError('invalid_request', 'The job is not valid.', { problems });
};

const toImpossible = (path: string, message: string): AppError =>
  new AppError('invalid_request', 'The job is not valid.', { problems: [{ path, message }] });

/** In the workload runner's format an empty command is the image's own. */
const toSchema = (format: WireFormat | undefined) => (format === 'workload' ? imageCommandSpecSchema : jobSpecSchema);

const parseSpec = (
  input: unknown,
  format: WireFormat | undefined,
  defaultImage: string,
): { spec: JobSpec; array: ArrayAsk | undefined } => {
  const parsed = toSchema(format).safeParse(input);
  if (!parsed.success) {
    throw new AppError('invalid_request', 'The job is not valid.', { problems: toProblems(parsed.error) });
  }
  const { array, ...spec } = parsed.data;
  checkDependencies(spec.after ?? []);
  return { spec: { ...spec, image: spec.image ?? defaultImage }, array };
};

const toLimits = (c: ResourceClass): string =>
  `${c.name} (at most ${c.max_cpus} CPUs, ${c.max_memory_mb} MB${c.max_gpus > 0 ? `, ${c.max_gpus} GPUs, for jobs with GPUs only` : ''})`;

const pickClass = (classes: ResourceClass[], ask: Resources, named?: string): ResourceClass => {
  const found = classes.find(({ name }) => name === named) ?? findClass(classes, ask);
  if (found) return found;
  throw new AppError(
    'no_class_fits',
    `No resource class holds the job. There are: ${classes.map(toLimits).join('; ')}.`,
    {
      problems: [{ path: '$', message: 'asks for more than any resource class holds' }],
    },
  );
};

const toIdempotency = (
  spec: JobSpec,
  { format, request, idempotency_key, requeued_from, user = LOCAL_USER }: Submission,
  array: ArrayAsk | undefined,
): Pick<NewJob, 'idempotency'> => {
  if (idempotency_key === undefined) return {};
  const more = [...(requeued_from ? [requeued_from] : []), ...(array ? [array] : [])];
  const body = JSON.stringify([format ?? 'v1', spec, request ?? null, ...more]);
  return { idempotency: { key: JSON.stringify([user, idempotency_key]), body } };
};

/** The job orchestrator's users stand in line each for themselves, below the user whose key it is. */
const toTurn = ({ format, request, user = LOCAL_USER }: Submission): Pick<NewJob, 'bucket' | 'groups'> => {
  // What came in by a worker's port names neither.
  if (format !== 'orchestrator' || typeof request?.service !== 'string') return {};
  const bucket = toServiceUser(user, Number(request.user_id));
  return { bucket, groups: toServiceGroups(request.service, bucket) };
};

const toGiven = ({ format, request, requeued_from, job_id, never }: Submission): Partial<NewJob> => ({
  ...(never === undefined ? {} : { never }),
  ...(requeued_from === undefined ? {} : { requeued_from }),
  ...(job_id === undefined ? {} : { job_id }),
  ...(format ? { format } : {}),
  ...(request ? { request } : {}),
});

/** Makes what somebody sent into what the store accepts: checked, complete, and sorted into a class. */
export const createPreparation = ({ classes, defaultImage, allowedRegistries }: PreparationOptions) => {
  const complete = (spec: JobSpec, how: Submission, array?: ArrayAsk): NewJob => {
    const queue_timeout_seconds = how.queue_timeout_seconds ?? spec.queue_timeout_seconds;
    // The default image is the operator's own choice, and so are those of services.
    if (spec.image !== defaultImage && how.format !== 'orchestrator') checkRegistry(spec.image, allowedRegistries);
    const ask = toAsk(spec);
    const c = pickClass(classes, ask, how.class);
    return {
      spec,
      user: how.user ?? LOCAL_USER,
      ask,
      class: c.name,
      ...(c.priority_across_users ? { across_users: true } : {}),
      ...(spec.hold ? { hold: true } : {}),
      ...toGiven(how),
      ...toTurn(how),
      ...(queue_timeout_seconds === undefined ? {} : { queue_timeout_seconds }),
      ...toIdempotency(spec, how, array),
    };
  };

  const prepare = (input: unknown, how: Submission): NewJob => {
    const { spec, array } = parseSpec(input, how.format, defaultImage);
    if (array) throw toImpossible('$.array', 'is not possible here: submit an array by itself, to POST /v1/jobs');
    return complete(spec, how);
  };

  const prepareArray = (input: unknown, how: Submission): { job: NewJob; array: ArrayAsk } => {
    const { spec, array } = parseSpec(input, undefined, defaultImage);
    if (!array) throw new Error('a job was taken for an array');
    if (spec.hold) throw toImpossible('$.hold', 'is not possible with an array');
    return { job: complete(spec, how, array), array };
  };

  return { complete, prepare, prepareArray };
};
