import type Docker from 'dockerode';
import type { ContainerOptions } from '../container-runtime.js';
import { type EngineChoices, toCreateBody } from './container-options.js';
import { tryOut } from './trials.js';

/** Whether a container like a job's runs to its end on this engine with these choices. */
export const probeContainer = (docker: Docker, image: string, choices: EngineChoices): Promise<boolean> =>
  tryOut(docker, toCreateBody(toProbe(image), choices), async (container, abortSignal) => {
    const ended = container.wait({ condition: 'next-exit', abortSignal });
    ended.catch(() => undefined);
    await container.start({ abortSignal });
    await ended;
    const { State } = await container.inspect({ abortSignal });
    return State.Status === 'exited' && State.ExitCode === 0;
  }).catch(() => false);

export const toProbe = (image: string): ContainerOptions => ({
  name: 'probe',
  image,
  argv: ['true'],
  env: {},
  workdir: '/workspace',
  centicpus: 10,
  memory_mb: 32,
  network: 'none',
  profile: 'standard',
  labels: { job_id: 'probe', epoch: 1, attempt: 1, deadline: 0, installation: 'probe' },
});
