import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { openDocker } from '@berth/local';
import Docker from 'dockerode';
import { until } from '../harness.js';
import { createFiller, type Filler, toSmallDiskScript } from './disk.js';
import type { Keeper } from './keeper.js';
import { createProgram, type Program } from './program.js';
import { openSpace, type Space } from './space.js';

/** A Docker engine of the world's own: to kill it harms nobody. `program.pid` is dockerd's. */
export interface Engine {
  /** As in DOCKER_HOST. */
  host: string;
  docker: Docker;
  /** For what the workers and the reaper of this engine tell each other. */
  runDir: string;
  /** Its network and mount namespaces. Processes in the network namespace are reached by containers with `egress`. */
  space: Space;
  program: Program;
  kill(signal: NodeJS.Signals): void;
  /** Waits until it answers. The image is loaded with the first start. */
  start(): Promise<void>;
  /** With `disk_mb`. */
  disk: Filler;
  /** Kills dockerd and starts it again. */
  restart(signal?: NodeJS.Signals): Promise<void>;
}

export interface EngineOptions {
  name: string;
  folder: string;
  keeper: Keeper;
  /** Containers go on while dockerd is away. */
  liveRestore: boolean;
  /** Set up in its namespaces before it starts. */
  script?: string;
  /** Its data lies on a disk of so many MiB. */
  disk_mb?: number | undefined;
}

const IMAGE = 'busybox:stable';
const HYBRID = '/sys/fs/cgroup/unified';
const CRUN = '/usr/bin/crun';

/**
 * Its own /etc/docker gives it an id of its own and hides the machine's configuration; an empty /run/containerd makes it start
 * a containerd of its own; and crun refuses to work where a second cgroup tree with controllers is mounted.
 */
const toSpaceScript = (etc: string): string =>
  [
    `mkdir -p /etc/docker && mount --bind ${etc} /etc/docker`,
    'mkdir -p /run/containerd && mount -t tmpfs tmpfs /run/containerd',
    `if [ -e ${HYBRID}/cgroup.controllers ]; then umount ${HYBRID}; fi`,
  ].join('; ');

/** Opened, not started. */
export const openEngine = async (options: EngineOptions): Promise<Engine> => {
  const folder = join(options.folder, options.name);
  const etc = join(folder, 'etc');
  const runDir = join(folder, 'run');
  for (const path of [etc, runDir]) mkdirSync(path, { recursive: true });
  const data = join(folder, 'data');
  const scripts = [
    toSpaceScript(etc),
    ...(options.script ? [options.script] : []),
    ...(options.disk_mb ? [toSmallDiskScript(data, options.disk_mb)] : []),
  ];
  const space = await openSpace(options.keeper, scripts.join('; '), true);
  const socket = join(folder, 'docker.sock');
  const pidFile = join(folder, 'dockerd.pid');
  const docker = new Docker({ socketPath: socket });
  const [command = '', ...args] = [
    ...space.enter,
    'dockerd',
    ...['--data-root', data, '--exec-root', join(folder, 'exec')],
    ...['-p', pidFile, '-H', `unix://${socket}`, '--bip', '172.30.0.1/24'],
    // Its cgroups are then where the keeper looks for them, whoever runs the machine's.
    ...['--exec-opt', 'native.cgroupdriver=cgroupfs'],
    ...(existsSync(CRUN) ? ['--add-runtime', `crun=${CRUN}`] : []),
    ...(options.liveRestore ? ['--live-restore'] : []),
  ];
  const program = createProgram({
    ...options,
    folder,
    command,
    args,
    isReady: async () => (await docker.ping().catch(() => undefined)) !== undefined,
  });
  const start = async () => {
    if (!program.alive) await forgetDead([pidFile, join(folder, 'exec/containerd/containerd.pid')]);
    const first = program.starts === 0;
    await program.start();
    if (first) await loadImage(docker);
  };
  return {
    host: `unix://${socket}`,
    docker,
    runDir,
    space,
    program,
    kill: program.kill,
    disk: createFiller(space.pid, data),
    start,
    restart: async (signal = 'SIGKILL') => {
      await program.end(signal);
      await start();
    },
  };
};

const DYING_MS = 10_000;

/** A process that still dies, or is dead and nobody has taken note of it yet, has its number: dockerd would wait for it in vain. */
const forgetDead = async (pidFiles: string[]): Promise<void> => {
  for (const file of pidFiles.filter((path) => existsSync(path))) {
    const stat = `/proc/${readFileSync(file, 'utf8').trim()}/stat`;
    const isDead = async () => !existsSync(stat) || readFileSync(stat, 'utf8').includes(') Z ') || undefined;
    const dead = await until('it to be dead', isDead, DYING_MS).catch(() => false);
    if (dead) rmSync(file, { force: true });
  }
};

/** From the engine that the tests share. */
const loadImage = async (docker: Docker): Promise<void> => {
  const shared = openDocker(process.env.DOCKER_HOST ?? '');
  await docker.loadImage(await shared.getImage(IMAGE).get());
  await until('the image to be there', async () => docker.getImage(IMAGE).inspect(), 30_000);
};
