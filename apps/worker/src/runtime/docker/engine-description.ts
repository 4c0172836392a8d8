import type Docker from 'dockerode';
import type { EngineInfo } from '../container-runtime.js';
import type { EngineChoices } from './container-options.js';
import { callWithin, DEADLINES } from './engine-calls.js';
import { toReadFault } from './faults.js';
import { prepareHostsFile } from './hosts-file.js';
import { isRecord } from './json-lines.js';
import { probeContainer } from './probe.js';

/** What an engine can do for our containers, as a probe has shown. */
type Choice = Omit<EngineChoices, 'egress_network'>;

export interface EngineDescription extends EngineInfo, Choice {
  /** False where no container could be run to find out: the choices are the most modest ones. */
  probed: boolean;
}

const OPEN_FILES = 65_536;
/** What the kernel gives a process by default: no engine has less. */
const FEW_OPEN_FILES = 4_096;

export interface DescribeOptions {
  /** Used whatever the engine says, when given. */
  oci_runtime?: string | undefined;
  /** A local image that holds `true`. Where it is missing nothing is probed and the most modest choices hold. */
  probe_image?: string | undefined;
}

/** Takes the first set of choices with which a container runs, the best first. */
export const describeEngine = async (docker: Docker, options: DescribeOptions): Promise<EngineDescription> => {
  const info = await readInfo(docker);
  const runtimes = options.oci_runtime === undefined ? toRuntimes(info) : [options.oci_runtime];
  const fallback = {
    oci_runtime: options.oci_runtime ?? info.default_runtime,
    hosts_file: undefined,
    open_files: FEW_OPEN_FILES,
  };
  const choice = await choose(docker, runtimes, options.probe_image);
  return { ...info.engine, ...(choice ?? fallback), probed: choice !== undefined };
};

interface Info {
  engine: Omit<EngineInfo, 'oci_runtime'>;
  runtimes: string[];
  default_runtime: string;
}

const readInfo = async (docker: Docker): Promise<Info> => {
  const info: unknown = await callWithin(DEADLINES.read, () => docker.info()).catch((error: unknown) => {
    throw toReadFault(error);
  });
  if (!isRecord(info)) throw toReadFault(new Error('its description is no object'));
  return {
    engine: {
      id: String(info.ID),
      name: String(info.Name),
      version: String(info.ServerVersion),
      cpus: Number(info.NCPU),
      memory_mb: Math.floor(Number(info.MemTotal) / (1024 * 1024)),
      ...(typeof info.DockerRootDir === 'string' ? { data_root: info.DockerRootDir } : {}),
    },
    runtimes: Object.keys(isRecord(info.Runtimes) ? info.Runtimes : {}),
    default_runtime: typeof info.DefaultRuntime === 'string' ? info.DefaultRuntime : 'runc',
  };
};

const toRuntimes = (info: Info): string[] =>
  info.runtimes.includes('crun') && info.default_runtime !== 'crun'
    ? ['crun', info.default_runtime]
    : [info.default_runtime];

const choose = async (docker: Docker, runtimes: string[], image: string | undefined): Promise<Choice | undefined> => {
  if (image === undefined) return undefined;
  const hosts_file = await prepareHostsFile(docker, image).catch(() => undefined);
  for (const choice of toChoices(hosts_file, runtimes)) {
    if (await probeContainer(docker, image, { ...choice, egress_network: undefined })) return choice;
  }
  return undefined;
};

/** The best first. */
const toChoices = (ours: string | undefined, runtimes: string[]): Choice[] =>
  (ours === undefined ? [undefined] : [ours, undefined]).flatMap((hosts_file) =>
    runtimes.flatMap((oci_runtime) =>
      [OPEN_FILES, FEW_OPEN_FILES].map((open_files) => ({ oci_runtime, hosts_file, open_files })),
    ),
  );
