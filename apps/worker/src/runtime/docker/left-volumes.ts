import type Docker from 'dockerode';
import { INSTALLATION_LABEL } from './container-labels.js';
import { callWithin, DEADLINES } from './engine-calls.js';
import { ignoring, toReadFault } from './faults.js';

/** A volume is made a moment before its container, and looks left behind in between. */
const YOUNG_MS = 600_000;

interface Volume {
  Name: string;
  CreatedAt?: string;
}

/**
 * Removes the volumes of containers that are gone without them: somebody removed such a container by hand. An engine removes no volume that a
 * container still has, whatever it is asked.
 */
export const removeLeftVolumes = async (docker: Docker, installation: string, young_ms = YOUNG_MS): Promise<number> => {
  const filters = JSON.stringify({ dangling: ['true'], label: [`${INSTALLATION_LABEL}=${installation}`] });
  const listed = await callWithin(DEADLINES.read, (abortSignal) =>
    docker.listVolumes({ filters, abortSignal } as object),
  ).catch((error: unknown) => {
    throw toReadFault(error);
  });
  const { Volumes } = listed as unknown as { Volumes: Volume[] | null };
  const left = (Volumes ?? []).filter(({ CreatedAt }) => Date.now() - Date.parse(CreatedAt ?? '') >= young_ms);
  for (const { Name } of left) {
    await callWithin(DEADLINES.remove, (abortSignal) => docker.getVolume(Name).remove({ abortSignal } as object)).catch(
      ignoring(404, 409),
    );
  }
  return left.length;
};
