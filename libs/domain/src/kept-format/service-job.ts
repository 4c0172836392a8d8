import { type JobSpecInput, MAX_TIMEOUT_SECONDS } from '../job-spec.js';
import type { ResourceClass } from '../resource-class.js';

/** A service of the job orchestrator: what its jobs run in, and how many may run at a time. */
export interface Service {
  name: string;
  /** Absent: the image of jobs that name none. */
  image?: string | undefined;
  /** Its jobs are as large as the class allows. Absent: as small as a job that names no size. */
  class?: ResourceClass | undefined;
  runs_per_user: number;
  max_runs: number;
}

/** A file of the job, by the name that its sender gave it. */
export interface ServiceFile {
  name: string;
  file_id: string;
}

export const RUN_SCRIPT = 'run.sh';

/** Scripts of that format are written for bash; an image that has none runs them by its `sh`. */
const COMMAND = `if command -v bash >/dev/null 2>&1; then exec bash ${RUN_SCRIPT}; else exec sh ${RUN_SCRIPT}; fi`;

const toSize = ({ max_cpus, max_memory_mb, max_gpus }: ResourceClass): Partial<JobSpecInput> => ({
  cpus: max_cpus,
  memory_mb: max_memory_mb,
  ...(max_gpus > 0 ? { gpus: { count: max_gpus } } : {}),
});

/**
 * The format knows no limit of run time, so the job gets the longest that there is. All that is in /workspace when it ends is kept, inputs
 * included, as it was.
 */
export const toServiceSpec = (service: Pick<Service, 'image' | 'class'>, files: ServiceFile[]): JobSpecInput => ({
  ...(service.image === undefined ? {} : { image: service.image }),
  ...(service.class ? toSize(service.class) : {}),
  command: ['sh', '-c', COMMAND],
  timeout_seconds: MAX_TIMEOUT_SECONDS,
  network: 'egress',
  inputs: files.map(({ name, file_id }) => ({ path: name, file_id })),
  outputs: ['**'],
});

/** Why it could never run, for the job's message. Undefined: it may. */
export const findServiceFault = (files: ServiceFile[]): string | undefined => {
  if (files.length === 0) return `There are no files: send at least ${RUN_SCRIPT}`;
  if (!files.some(({ name }) => name === RUN_SCRIPT)) return `There is no ${RUN_SCRIPT} among the files`;
  return undefined;
};
