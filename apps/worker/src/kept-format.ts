import { toArgv, toArrayEnv } from '@berth/domain';
import type { Claim } from '@berth/store';
import type { ContainerOptions } from './runtime/container-runtime.js';

/**
 * What a job's container is told to run. Clients of the workload runner's format give what the image calls its command, which stands
 * behind the image's own entrypoint, or nothing at all; and their programs read these two variables.
 */
export const toProgram = (
  { job_id, spec, format }: Claim,
  node: string,
): Pick<ContainerOptions, 'argv' | 'keeps_entrypoint' | 'env'> => {
  const argv = toArgv(spec.command);
  const array = spec.array_task ? toArrayEnv(spec.array_task) : {};
  if (format !== 'workload') return { argv, keeps_entrypoint: false, env: { ...spec.env, ...array } };
  return { argv, keeps_entrypoint: true, env: { ...spec.env, JOB_ID: job_id, EXECUTOR_IP: node } };
};
