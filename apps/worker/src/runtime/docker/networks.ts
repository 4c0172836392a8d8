import { setTimeout as delay } from 'node:timers/promises';
import type Docker from 'dockerode';
import { RuntimeFault } from '../container-runtime.js';
import { callWithin, DEADLINES } from './engine-calls.js';
import { ignoring, toReadFault } from './faults.js';

const EGRESS_NETWORK = 'berth-egress';
const NO_NEIGHBOURS = 'com.docker.network.bridge.enable_icc';
const BRIDGE_NAME = 'com.docker.network.bridge.name';
const TRIES = 40;
const PAUSE_MS = 50;

export interface Networks {
  /** The id of the bridge for jobs with `egress`: out to the world, not to each other. */
  resolveEgress(): Promise<string>;
}

/**
 * The bridge is made by whoever needs it first. Workers of one engine may do so at the same time, and an engine takes several
 * networks of one name, with which it then starts no container: the name is ambiguous. The kernel's name of the bridge is what it
 * gives only once: of several who ask for it, one succeeds, and the others find what that one has made, after a moment. The
 * network is looked up for each container, because an operator may have removed it since.
 */
export const createNetworks = (docker: Docker): Networks => {
  let asked: Promise<string> | undefined;

  const findOrCreate = async (): Promise<string> => {
    for (let tries = 0; tries < TRIES; tries += 1) {
      const found = await findEgress(docker);
      if (found !== undefined) return found;
      await createEgress(docker);
      if (tries > 0) await delay(PAUSE_MS);
    }
    throw new RuntimeFault('engine_unavailable', `The network ${EGRESS_NETWORK} could not be made`, {
      retryable: true,
    });
  };

  return {
    resolveEgress: () => {
      asked ??= findOrCreate().finally(() => {
        asked = undefined;
      });
      return asked;
    },
  };
};

const findEgress = async (docker: Docker): Promise<string | undefined> => {
  const filters = { name: [EGRESS_NETWORK] };
  const networks = await callWithin(DEADLINES.read, (abortSignal) =>
    docker.listNetworks({ filters, abortSignal }),
  ).catch((error: unknown) => {
    throw toReadFault(error);
  });
  const [oldest] = networks
    .filter((n) => n.Name === EGRESS_NETWORK)
    .sort((a, b) => a.Created.localeCompare(b.Created) || a.Id.localeCompare(b.Id));
  if (oldest === undefined) return undefined;
  if (oldest.Driver === 'bridge' && oldest.Options?.[NO_NEIGHBOURS] === 'false') return oldest.Id;
  throw new RuntimeFault(
    'engine_unavailable',
    `The network ${EGRESS_NETWORK} is not ours: containers could reach each other on it. Remove it with: docker network rm ${EGRESS_NETWORK}`,
  );
};

const createEgress = async (docker: Docker): Promise<void> => {
  const body = {
    Name: EGRESS_NETWORK,
    CheckDuplicate: true,
    Driver: 'bridge',
    Options: { [NO_NEIGHBOURS]: 'false', [BRIDGE_NAME]: EGRESS_NETWORK },
    Labels: { 'berth.network': 'egress' },
  };
  await callWithin(DEADLINES.create, (abortSignal) => docker.createNetwork({ ...body, abortSignal })).catch(
    ignoring(403, 409),
  );
};
