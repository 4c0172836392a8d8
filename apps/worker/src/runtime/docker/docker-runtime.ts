import type Docker from 'dockerode';
import type { Container, ContainerOptions, ContainerRuntime, ContainerSummary } from '../container-runtime.js';
import { RuntimeFault } from '../container-runtime.js';
import { INSTALLATION_LABEL, JOB_LABEL, parseLabels } from './container-labels.js';
import { toCreateBody } from './container-options.js';
import { createReadUsage } from './container-usage.js';
import { createDockerContainer } from './docker-container.js';
import { callWithin, DEADLINES, isAnswering, openEngine } from './engine-calls.js';
import { describeEngine, type EngineDescription } from './engine-description.js';
import { type EngineEvents, openEngineEvents } from './engine-events.js';
import { toCreateFault, toReadFault, toStatusCode } from './faults.js';
import { isFit } from './fitness.js';
import { prepareHostsFile } from './hosts-file.js';
import { createImages } from './images.js';
import { removeLeftVolumes } from './left-volumes.js';
import { createLifecycleGate, type LifecycleGate } from './lifecycle-gate.js';
import { createMemoryWitness, type MemoryWitnessOptions } from './memory-witness.js';
import { createNetworks, type Networks } from './networks.js';
import { createOwnStops } from './own-stops.js';
import { judgeRefusal } from './refusals.js';

export interface DockerRuntimeOptions {
  /** Labels our containers, and hides those of any other installation from us. */
  installation: string;
  /** `unix:///path` or `tcp://host:port`; without it, DOCKER_HOST or the usual socket. */
  engine?: string | undefined;
  /** How long the download of an image may take. Default: ten minutes. */
  pull_limit_ms?: number | undefined;
  /** The OCI runtime to use. Without it: crun where a probe container runs with it, else the engine's default. */
  oci_runtime?: string | undefined;
  /** An image that holds `true`, for the probe. It is not pulled: until it has been resolved, the engine's default is used. */
  probe_image?: string | undefined;
  /** Where the machine shows what became of a container's memory. By default the usual places. */
  memory?: MemoryWitnessOptions | undefined;
}

const PULL_LIMIT_MS = 600_000;
/** So many containers may be created, started or removed at once for each CPU of the engine. */
const LIFECYCLE_SLOTS_PER_CPU = 2;

/** Opens no connection until it is used. */
export const createDockerRuntime = (options: DockerRuntimeOptions): ContainerRuntime => {
  const docker = openEngine(options.engine);
  const images = createImages(docker, options.pull_limit_ms ?? PULL_LIMIT_MS);
  const networks = createNetworks(docker);
  const described = remember(() => describeEngine(docker, options));
  const sizedGate = remember(async () => createLifecycleGate(LIFECYCLE_SLOTS_PER_CPU * (await described.get()).cpus));
  const gate: LifecycleGate = { pass: async (call) => (await sizedGate.get()).pass(call) };
  const memory = createMemoryWitness(options.memory);
  const readUsage = createReadUsage();
  const stops = createOwnStops();
  const closings = createClosings();
  let events: EngineEvents | undefined;
  let closed = false;
  const { probe_image } = options;
  const fitness = shareWhileAsked(
    async () => probe_image === undefined || (await isFit(docker, probe_image, await described.get())),
  );

  const requireOpen = () => {
    if (closed) throw new RuntimeFault('engine_unavailable', 'The runtime is closed');
  };
  const isEngineUp = () => isAnswering(options.engine);
  const parts = { docker, gate, memory, readUsage, stops, isEngineUp, onClose: closings.add };
  const open = (id: string, created: boolean): Container => {
    requireOpen();
    events ??= openEngineEvents(docker, options.installation);
    return createDockerContainer({ ...parts, events }, id, created);
  };

  return {
    describe: described.get,
    isFit: fitness,
    resolveImage: async (image) => {
      const resolved = await images.resolve(image);
      if (image === probe_image) await described.forgetUnless((engine) => engine.probed);
      return resolved;
    },
    removeImage: async (image) => (image === probe_image ? 'kept' : images.remove(image)),
    create: async (asked) => {
      requireOpen();
      const engine = await described.get();
      const egress_network = await toEgressNetwork(networks, asked);
      const id = await gate.pass(() =>
        createContainer(docker, within(asked, engine), { ...engine, egress_network, probe_image }),
      );
      return open(id, true);
    },
    list: (job_id) => listContainers(docker, options.installation, job_id),
    removeLeftovers: () => removeLeftVolumes(docker, options.installation),
    open: (id) => open(id, false),
    close: async () => {
      closed = true;
      closings.closeAll();
      memory.close();
      await events?.close();
    },
  };
};

/** What is to be stopped when the runtime closes. `add` gives back the function that takes it back. */
const createClosings = () => {
  const all = new Set<() => void>();
  return {
    add: (stop: () => void) => {
      all.add(stop);
      return () => all.delete(stop);
    },
    closeAll: () => {
      for (const stop of all) stop();
    },
  };
};

/** An engine refuses to give a container more CPUs than its machine has; a worker may be told that it has more. */
const within = (asked: ContainerOptions, { cpus }: EngineDescription): ContainerOptions => ({
  ...asked,
  centicpus: Math.min(asked.centicpus, cpus * 100),
});

/** Makes it once, and again only where making it failed or what was made will not do. */
const remember = <T>(make: () => Promise<T>) => {
  let made: Promise<T> | undefined;
  return {
    get: (): Promise<T> => {
      made ??= make().catch((error: unknown) => {
        made = undefined;
        throw error;
      });
      return made;
    },
    forgetUnless: async (will_do: (value: T) => boolean): Promise<void> => {
      if (made !== undefined && !will_do(await made)) made = undefined;
    },
  };
};

/** Whoever asks while someone else's answer is still awaited shares it. No answer is a no. */
const shareWhileAsked = (ask: () => Promise<boolean>) => {
  let asked: Promise<boolean> | undefined;
  return (): Promise<boolean> => {
    asked ??= ask()
      .catch(() => false)
      .finally(() => {
        asked = undefined;
      });
    return asked;
  };
};

const toEgressNetwork = async (networks: Networks, { network }: ContainerOptions): Promise<string | undefined> =>
  network === 'egress' ? await networks.resolveEgress() : undefined;

type Engine = EngineDescription & { egress_network: string | undefined; probe_image: string | undefined };

/**
 * The engine also refuses with 400 where our hosts file is gone, which `docker volume prune` does. That is no fault of the
 * job's, so the file is put back and the call made once more.
 */
const createContainer = async (docker: Docker, options: ContainerOptions, engine: Engine): Promise<string> => {
  const body = toCreateBody(options, engine);
  const create = () => createOnce(docker, options.name, body);
  try {
    return await create().catch(async (error: unknown) => {
      const may_lack_hosts =
        toStatusCode(error) === 400 && options.network === 'none' && engine.hosts_file !== undefined;
      if (!may_lack_hosts || engine.probe_image === undefined) throw error;
      await prepareHostsFile(docker, engine.probe_image).catch(() => undefined);
      return await create();
    });
  } catch (error) {
    const is_unclear = toStatusCode(error) === 400 || toStatusCode(error) === 500;
    throw is_unclear ? await judgeRefusal(docker, { at: 'create', body, error }) : toCreateFault(error);
  }
};

/** The name goes into the URL, all else into the body: what stands in a URL ends up in logs. */
const createOnce = async (docker: Docker, name: string, body: object): Promise<string> => {
  const request = { _query: { name }, _body: body };
  const container = await callWithin(DEADLINES.create, (abortSignal) =>
    docker.createContainer({ ...request, abortSignal } as Docker.ContainerCreateOptions),
  );
  return container.id;
};

const STATES: Record<string, ContainerSummary['state']> = {
  created: 'created',
  running: 'running',
  paused: 'running',
  restarting: 'running',
};

const listContainers = async (
  docker: Docker,
  installation: string,
  job_id: string | undefined,
): Promise<ContainerSummary[]> => {
  const filters = { label: [`${INSTALLATION_LABEL}=${installation}`, ...(job_id ? [`${JOB_LABEL}=${job_id}`] : [])] };
  const found = await callWithin(DEADLINES.read, (abortSignal) =>
    docker.listContainers({ all: true, filters, abortSignal }),
  ).catch((error: unknown) => {
    throw toReadFault(error);
  });
  return found.flatMap((c) => {
    const labels = parseLabels(c.Labels);
    if (labels === undefined) return [];
    const name = (c.Names[0] ?? '').replace(/^\//, '');
    return [{ id: c.Id, name, labels, state: STATES[c.State] ?? 'ended', paused: c.State === 'paused' }];
  });
};
