import type Docker from 'dockerode';
import { toCreateBody } from './container-options.js';
import type { EngineDescription } from './engine-description.js';
import { toStatusCode } from './faults.js';
import { toProbe } from './probe.js';
import { NO_PROGRAM, tryOut } from './trials.js';

/** A disk that has room for just one container has none for the next. */
const ROOM_BYTES = 1024 * 1024;

/**
 * Whether the engine makes and starts a container of `image` at present. It has of what jobs have only what none can do without, so that
 * nothing but the engine itself can be in the way. True where the engine lacks the image: then it says nothing.
 */
export const isFit = (docker: Docker, image: string, engine: EngineDescription): Promise<boolean> => {
  const choices = { ...engine, hosts_file: undefined, egress_network: undefined };
  const body = { ...toCreateBody(toProbe(image), choices), ...NO_PROGRAM, room_bytes: ROOM_BYTES };
  return tryOut(docker, body, async (container, abortSignal) => void (await container.start({ abortSignal }))).then(
    () => true,
    (error: unknown) => toStatusCode(error) === 404,
  );
};
