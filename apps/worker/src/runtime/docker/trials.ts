import { randomUUID } from 'node:crypto';
import type Docker from 'dockerode';
import { callWithin, DEADLINES } from './engine-calls.js';

const TRIAL_LABEL = 'berth.probe';
/** The engine keeps a container's labels on its disk. */
const ROOM_LABEL = 'berth.room';
/** A trial takes a second. One this old was left behind by a worker that died. */
const LEFT_BEHIND_SECONDS = 300;

/** The body of a create call. */
export type CreateBody = Record<string, unknown>;

/** Its init starts and cannot run this, so nothing of an image's ever runs. */
export const NO_PROGRAM = { Entrypoint: ['/'], Cmd: [] };

/**
 * Makes a container to find something out by, has it used, and removes it. Rejects where it could not be made, or using it
 * failed. It carries no label of a job, so nobody takes it for one. `room_bytes`: so much it takes of the engine's disk beside what any
 * container does.
 */
export const tryOut = async <T>(
  docker: Docker,
  { room_bytes = 0, ...body }: CreateBody & { room_bytes?: number },
  use: (container: Docker.Container, abortSignal: AbortSignal) => Promise<T>,
): Promise<T> => {
  await removeLeftBehind(docker).catch(() => undefined);
  const name = `berth-probe-${randomUUID()}`;
  const _body = { ...body, Labels: { [TRIAL_LABEL]: 'true', [ROOM_LABEL]: ' '.repeat(room_bytes) } };
  let made: Docker.Container | undefined;
  try {
    return await callWithin(DEADLINES.probe, async (abortSignal) => {
      made = await docker.createContainer({ _query: { name }, _body, abortSignal } as object);
      return await use(made, abortSignal);
    });
  } finally {
    await removeQuietly(made);
  }
};

const removeQuietly = async (container: Docker.Container | undefined): Promise<void> => {
  if (container === undefined) return;
  const options = { force: true, v: true };
  await callWithin(DEADLINES.remove, (abortSignal) => container.remove({ ...options, abortSignal })).catch(
    () => undefined,
  );
};

const removeLeftBehind = async (docker: Docker): Promise<void> => {
  const filters = { label: [`${TRIAL_LABEL}=true`] };
  const trials = await callWithin(DEADLINES.read, (abortSignal) =>
    docker.listContainers({ all: true, filters, abortSignal }),
  );
  const old = trials.filter((p) => Date.now() / 1000 - p.Created > LEFT_BEHIND_SECONDS);
  for (const { Id } of old) {
    await callWithin(DEADLINES.remove, (abortSignal) =>
      docker.getContainer(Id).remove({ force: true, v: true, abortSignal }),
    );
  }
};
