import type { JobSpec, Profile } from '@berth/domain';
import type { Claim } from '@berth/store';
import { toProgram } from './kept-format.js';
import type { ContainerOptions } from './runtime/container-runtime.js';

/** Beyond its timeout and grace a container may live so long before others of the machine stop it. */
const DEADLINE_SLACK_SECONDS = 10;

interface Place {
  node: string;
  installation: string;
  profileOf: (className: string) => Profile;
  fakeGpus: boolean;
}

const toSlackSeconds = ({ stop_grace_seconds }: Pick<JobSpec, 'stop_grace_seconds'>): number =>
  stop_grace_seconds + DEADLINE_SLACK_SECONDS;

/** When the run time of a container with this deadline is over, in Unix milliseconds. */
export const toTimeUp = (spec: Pick<JobSpec, 'stop_grace_seconds'>, deadline_ms: number): number =>
  deadline_ms - toSlackSeconds(spec) * 1000;

/** Everything that the container of a claim is made from. `laying_seconds`: so much may pass before its start, while its inputs are laid. */
export const toContainerOptions = (
  claim: Claim,
  { node, installation, profileOf, fakeGpus }: Place,
  laying_seconds = 0,
): ContainerOptions => {
  const { job_id, epoch, attempt, spec, class: className } = claim;
  const seconds = laying_seconds + spec.timeout_seconds + toSlackSeconds(spec);
  return {
    name: `berth-${job_id}-e${epoch}`,
    image: spec.image,
    ...toProgram(claim, node),
    workdir: spec.workdir,
    centicpus: Math.round(spec.cpus * 100),
    memory_mb: spec.memory_mb,
    network: spec.network,
    profile: profileOf(className),
    has_files: Boolean(spec.inputs?.length || spec.outputs?.length),
    gpus: { uuids: claim.gpu_uuids, fake: fakeGpus },
    labels: { job_id, epoch, attempt, deadline: Math.ceil(Date.now() / 1000) + seconds, installation },
  };
};
