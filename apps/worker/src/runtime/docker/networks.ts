import type Docker from 'dockerode';
import { RuntimeFault } from '../container-runtime.js';
import { callWithin, DEADLINES } from './engine-calls.js';
import { ignoring, toReadFault } from './faults.js';

const EGRESS_NETWORK = 'berth-egress';
const NO_NEIGHBOURS = 'com.docker.network.bridge.enable_icc';

export interface Networks {
  /** The id of the bridge for jobs with `egress`: out to the world, not to each other. */
  resolveEgress(): Promise<string>;
}

/**
 * The bridge is made by whoever needs it first. Two workers of one engine may do so at once, and an engine may then hold two
 * bridges of one name: all take the older one, by its id. It is looked up for each container, because an operator may
 * have removed it since.
 */
export const createNetworks = (docker: Docker): Networks => {
  let asked: Promise<string> | undefined;

  const findOrCreate = async (): Promise<string> => {
    const found = (await findEgress(docker)) ?? (await createEgress(docker).then(() => findEgress(docker)));
    if (found === undefined) {
      throw new RuntimeFault('engine_unavailable', `The network ${EGRESS_NETWORK} could not be made`, {
        retryable: true,
      });
    }
    return found;
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
    Options: { [NO_NEIGHBOURS]: 'false' },
    Labels: { 'berth.network': 'egress' },
  };
  await callWithin(DEADLINES.create, (abortSignal) => docker.createNetwork({ ...body, abortSignal })).catch(
    ignoring(409),
  );
};
