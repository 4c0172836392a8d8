import { type JobSpecInput, MAX_TIMEOUT_SECONDS, type Parsed, parseFields, type RequestDetail } from '@berth/domain';

/** A job as the workload runner's clients ask for it, with its defaults filled in; its replies repeat it. In their order. */
export interface WorkloadRequest {
  docker_image: string;
  /** Empty: what the image runs by itself. */
  command: string[];
  cpu_cores: number;
  memory_gb: number;
  gpu_type: string | null;
  gpu_count: number;
  /** Seconds that it may wait for a machine. */
  allocation_timeout: number;
  eligible_regions: string[];
  eligible_datacenters: string[];
  volumes: string[];
}

const DEFAULT_ALLOCATION_SECONDS = 300;

const readRequest = (body: unknown): Parsed<WorkloadRequest> =>
  parseFields(body, (fields) => {
    const docker_image = fields.text('docker_image');
    const command = fields.texts('command');
    const cpu_cores = fields.integer('cpu_cores', { ge: 1 });
    const memory_gb = fields.integer('memory_gb', { ge: 1 });
    const gpu_type = fields.optionalText('gpu_type');
    return {
      docker_image,
      command,
      cpu_cores,
      memory_gb,
      gpu_type,
      gpu_count: fields.optionalInteger('gpu_count', { ge: 0 }) ?? (gpu_type ? 1 : 0),
      allocation_timeout: fields.optionalInteger('allocation_timeout', { ge: 30 }) ?? DEFAULT_ALLOCATION_SECONDS,
      eligible_regions: fields.optionalTexts('eligible_regions') ?? [],
      eligible_datacenters: fields.optionalTexts('eligible_datacenters') ?? [],
      volumes: fields.optionalTexts('volumes') ?? [],
    };
  });

const toRefusal = (field: string, message: string, input: unknown): RequestDetail => ({
  type: 'value_error',
  loc: ['body', field],
  msg: `Value error, ${message}`,
  input,
});

/** What that runner took and Berth cannot do: better refused than done otherwise. */
const findRefusals = ({ volumes }: WorkloadRequest): RequestDetail[] => {
  if (volumes.length === 0) return [];
  const why = 'paths of the host are never mounted, since a job could then reach the whole machine: leave volumes out';
  return [toRefusal('volumes', why, volumes)];
};

export const parseWorkloadRequest = (body: unknown): Parsed<WorkloadRequest> => {
  const parsed = readRequest(body);
  if (parsed.details) return parsed;
  const refusals = findRefusals(parsed.value);
  return refusals.length > 0 ? { details: refusals } : parsed;
};

/** The format knows no limit of run time, so the job gets the longest that there is. */
export const toWorkloadSpec = (request: WorkloadRequest): JobSpecInput => ({
  image: request.docker_image,
  command: request.command,
  cpus: request.cpu_cores,
  memory_mb: request.memory_gb * 1024,
  timeout_seconds: MAX_TIMEOUT_SECONDS,
  network: 'egress',
  ...(request.eligible_regions.length > 0 ? { eligible_regions: request.eligible_regions } : {}),
  ...(request.eligible_datacenters.length > 0 ? { eligible_datacenters: request.eligible_datacenters } : {}),
  ...(request.gpu_count > 0 ? { gpus: { count: request.gpu_count, type: request.gpu_type ?? 'any' } } : {}),
});
