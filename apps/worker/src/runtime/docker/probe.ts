import { randomUUID } from 'node:crypto';
import type Docker from 'dockerode';
import type { ContainerOptions } from '../container-runtime.js';
import { type EngineChoices, toCreateBody } from './container-options.js';
import { callWithin, DEADLINES } from './engine-calls.js';

const PROBE_LABEL = 'berth.probe';
/** A probe takes a second. One this old was left behind by a worker that died. */
const LEFT_BEHIND_SECONDS = 300;

/** Whether a container like a job's runs to its end on this engine with these choices. */
export const probeContainer = async (docker: Docker, image: string, choices: EngineChoices): Promise<boolean> => {
  await removeLeftBehind(docker).catch(() => undefined);
  const name = `berth-probe-${randomUUID()}`;
  const body = { ...toCreateBody(toProbe(name, image), choices), Labels: { [PROBE_LABEL]: 'true' } };
  let container: Docker.Container | undefined;
  try {
    return await callWithin(DEADLINES.probe, async (abortSignal) => {
      const made = await docker.createContainer({ _query: { name }, _body: body, abortSignal } as object);
      container = made;
      const ended = made.wait({ condition: 'next-exit', abortSignal });
      ended.catch(() => undefined);
      await made.start({ abortSignal });
      await ended;
      const { State } = await made.inspect({ abortSignal });
      return State.Status === 'exited' && State.ExitCode === 0;
    });
  } catch {
    return false;
  } finally {
    const made = container;
    if (made !== undefined) {
      await callWithin(DEADLINES.remove, (abortSignal) => made.remove({ force: true, v: true, abortSignal })).catch(
        () => undefined,
      );
    }
  }
};

const toProbe = (name: string, image: string): ContainerOptions => ({
  name,
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

const removeLeftBehind = async (docker: Docker): Promise<void> => {
  const filters = { label: [`${PROBE_LABEL}=true`] };
  const probes = await callWithin(DEADLINES.read, (abortSignal) =>
    docker.listContainers({ all: true, filters, abortSignal }),
  );
  const old = probes.filter((p) => Date.now() / 1000 - p.Created > LEFT_BEHIND_SECONDS);
  for (const { Id } of old) {
    await callWithin(DEADLINES.remove, (abortSignal) => docker.getContainer(Id).remove({ force: true, abortSignal }));
  }
};
