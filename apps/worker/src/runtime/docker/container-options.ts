import type { ContainerOptions } from '../container-runtime.js';
import { INSTALLATION_LABEL, JOB_LABEL, toLabels } from './container-labels.js';

const MIB = 1024 * 1024;
const NANO_PER_CENTICPU = 10_000_000;
/** `nobody`, by number: an image need not know the name. */
export const STRICT_UID = 65_534;
const STRICT_USER = `${STRICT_UID}:${STRICT_UID}`;

/** What the engine and the machine decide, not the job. */
export interface EngineChoices {
  oci_runtime: string;
  /** The egress bridge's id. Needed only where the job asks for it. */
  egress_network: string | undefined;
  /** A file on the engine's machine that names `localhost`; without one the engine has to set up a network of nothing. */
  hosts_file: string | undefined;
  /** How many files a process may hold open. An engine cannot give more than it has itself. */
  open_files: number;
}

/**
 * The body of the engine's create call. Everything in HostConfig is a constant, a choice of ours or a checked number of
 * the job: no object of the job's is ever spread into it, so that no field of a spec can reach an option of the engine.
 */
export const toCreateBody = (options: ContainerOptions, engine: EngineChoices) => ({
  Image: options.image,
  ...toCommand(options),
  Env: toEnv(options),
  WorkingDir: options.workdir,
  Labels: toLabels(options.labels),
  ...(options.profile === 'strict' ? { User: STRICT_USER } : {}),
  Tty: false,
  OpenStdin: false,
  StopSignal: 'SIGTERM',
  Healthcheck: { Test: ['NONE'] },
  NetworkDisabled: options.network === 'none' && engine.hosts_file !== undefined,
  HostConfig: toHostConfig(options, engine),
});

const toCommand = ({ argv, keeps_entrypoint = false }: ContainerOptions) =>
  keeps_entrypoint ? { Cmd: argv } : { Entrypoint: argv, Cmd: [] };

const toHostConfig = (options: ContainerOptions, engine: EngineChoices) => ({
  ...FIXED,
  Runtime: engine.oci_runtime,
  NetworkMode: toNetworkMode(options, engine),
  NanoCpus: checked(options.centicpus, 'centicpus') * NANO_PER_CENTICPU,
  Memory: checked(options.memory_mb, 'memory_mb') * MIB,
  MemorySwap: checked(options.memory_mb, 'memory_mb') * MIB,
  Ulimits: [
    { Name: 'nofile', Soft: engine.open_files, Hard: engine.open_files },
    { Name: 'core', Soft: 0, Hard: 0 },
  ],
  ReadonlyRootfs: options.profile === 'strict',
  Tmpfs: toTmpfs(options),
  Mounts: toMounts(options, engine),
  DeviceRequests: toDeviceRequests(options),
});

/**
 * Of the engine's own log at least so much is kept of a container, and at most twice as much. It is read only where a worker takes a running
 * container over (docs/decisions/0004). Lines are kept with some 28 bytes more each, so the default limit of a job's log
 * fits where lines have 17 bytes on average.
 */
export const KEPT_LOG_BYTES = 32_000_000;
/** The only driver of the engine that keeps every byte as it is. */
const LOG_CONFIG = {
  Type: 'local',
  Config: { 'max-size': String(KEPT_LOG_BYTES), 'max-file': '2', compress: 'false' },
} as const;

/** The same for every container. Seccomp and AppArmor are the engine's defaults, which hold where nothing is said. */
const FIXED = {
  Privileged: false,
  CapAdd: [],
  CapDrop: ['ALL'],
  SecurityOpt: ['no-new-privileges'],
  PidsLimit: 256,
  OomScoreAdj: 500,
  OomKillDisable: false,
  Init: true,
  IpcMode: 'private',
  AutoRemove: false,
  RestartPolicy: { Name: 'no', MaximumRetryCount: 0 },
  LogConfig: LOG_CONFIG,
} as const;

const toNetworkMode = (options: ContainerOptions, engine: EngineChoices): string => {
  if (options.network === 'none') return 'none';
  if (engine.egress_network === undefined) throw new Error('egress was asked for without its network');
  return engine.egress_network;
};

const toDeviceRequests = ({ gpus }: ContainerOptions) =>
  gpus === undefined || gpus.fake || gpus.uuids.length === 0
    ? []
    : [{ Driver: 'nvidia', DeviceIDs: gpus.uuids, Capabilities: [['gpu']] }];

/** A full tmpfs must say "no space left" before the memory limit kills the job, so both together are less than it. */
const toTmpfs = ({ profile, memory_mb, has_files }: ContainerOptions): Record<string, string> => {
  if (profile === 'standard') return {};
  const tmp = Math.max(1, Math.floor(memory_mb / 4));
  const workspace = Math.max(1, Math.floor(memory_mb / 2));
  const tmpfs = { '/tmp': `rw,noexec,nosuid,nodev,mode=1777,size=${tmp}m` };
  if (has_files) return tmpfs;
  return {
    ...tmpfs,
    '/workspace': `rw,exec,nosuid,nodev,uid=65534,gid=65534,mode=0755,size=${workspace}m`,
  };
};

const toMounts = (options: ContainerOptions, { hosts_file }: EngineChoices) => [
  ...(options.network === 'none' && hosts_file !== undefined ? [toHostsMount(hosts_file)] : []),
  ...(options.has_files && options.profile === 'strict' ? [toWorkspaceVolume(options)] : []),
];

/** Without a name, so that it goes with the container. An engine takes files out of no tmpfs, and lays none into a read-only root. */
const toWorkspaceVolume = ({ labels: { installation, job_id } }: ContainerOptions) => ({
  Type: 'volume',
  Target: '/workspace',
  VolumeOptions: { NoCopy: true, Labels: { [INSTALLATION_LABEL]: installation, [JOB_LABEL]: job_id } },
});

const toHostsMount = (source: string) => ({ Type: 'bind', Source: source, Target: '/etc/hosts', ReadOnly: true });

/**
 * What Berth tells the job stands last and cannot be replaced by the user's own. The two of NVIDIA's are said of every job: its runtime attaches
 * every GPU of the machine to a container that asks for them by the second one, as many images do by themselves.
 */
const toEnv = ({ env, labels, gpus }: ContainerOptions): string[] => {
  const told = {
    BERTH_JOB_ID: labels.job_id,
    BERTH_ATTEMPT: String(labels.attempt),
    BERTH_EPOCH: String(labels.epoch),
    CUDA_VISIBLE_DEVICES: gpus?.uuids.join(',') ?? '',
    NVIDIA_VISIBLE_DEVICES: gpus?.uuids.join(',') || 'void',
  };
  const own = Object.entries(env).filter(([name]) => !(name in told));
  return [...own, ...Object.entries(told)].map(([name, value]) => `${name}=${value}`);
};

/** The schema has checked it already; a number that is none must not become "no limit". */
const checked = (value: number, name: string): number => {
  if (!Number.isSafeInteger(value) || value <= 0) throw new Error(`${name} must be a whole number above 0`);
  return value;
};
