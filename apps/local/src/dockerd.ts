import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { readEngineState } from './docker-client.js';
import { findProgram } from './find-program.js';
import { LocalError } from './local-error.js';
import { readLogTail, toLogPath } from './log-file.js';
import { identifyProcess, type ProcessRecord } from './process-record.js';
import { supervise } from './supervisor.js';
import { waitUntil } from './wait-until.js';

/** Only the socket is needed; the rest is dockerd's own choice unless given. */
export interface EnginePaths {
  socket: string;
  dataRoot?: string;
  execRoot?: string;
  pidFile?: string;
}

export const usualPaths: EnginePaths = { socket: '/var/run/docker.sock' };
const usualExecRoot = '/var/run/docker';
const hybridFolder = '/sys/fs/cgroup/unified';

export interface DockerdTraits {
  program: string;
  crun: string | undefined;
  /** Keys that /etc/docker/daemon.json sets; dockerd refuses to start when a flag sets one of them again. */
  configured: readonly string[];
  hybridCgroups: boolean;
}

/**
 * crun refuses to work where cgroup v1 and v2 are both mounted and v2 holds a controller. Such a v2 tree is unmounted in
 * a mount namespace that only dockerd, and what it starts, sees. Each step is an exec, so the pid stays that of dockerd.
 */
export const toDockerdCommand = (paths: EnginePaths, traits: DockerdTraits): [string, ...string[]] => {
  const daemon = [
    traits.program,
    ...(paths.socket === usualPaths.socket ? [] : ['-H', `unix://${paths.socket}`]),
    ...(paths.dataRoot ? ['--data-root', paths.dataRoot] : []),
    ...(paths.execRoot ? ['--exec-root', paths.execRoot] : []),
    ...(paths.pidFile ? ['--pidfile', paths.pidFile] : []),
    ...(traits.crun && !traits.configured.includes('runtimes') ? ['--add-runtime', `crun=${traits.crun}`] : []),
  ] as [string, ...string[]];
  if (!traits.crun || !traits.hybridCgroups) return daemon;
  return ['unshare', '-m', 'sh', '-c', `umount ${hybridFolder}; exec "$@"`, 'dockerd', ...daemon];
};

const readConfigured = (): string[] => {
  try {
    return Object.keys(JSON.parse(readFileSync('/etc/docker/daemon.json', 'utf8')));
  } catch {
    return [];
  }
};

const hasHybridCgroups = (): boolean => {
  const file = `${hybridFolder}/cgroup.controllers`;
  return existsSync(file) && readFileSync(file, 'utf8').trim() !== '';
};

/**
 * A dockerd that is killed takes its containerd with it. The next one goes by that one's pid file and waits for it in vain for as long as
 * anything has that pid: a zombie too, which stays where the machine's first process does not reap, or is slow to.
 */
export const forgetDeadContainerd = (execRoot: string): void => {
  const file = join(execRoot, 'containerd/containerd.pid');
  const pid = existsSync(file) ? Number(readFileSync(file, 'utf8')) : 0;
  if (pid > 0 && !identifyProcess(pid)) rmSync(file, { force: true });
};

/** Starts dockerd, or keeps the one given, and waits until it answers. Throws a LocalError with its last words where it does not. */
export const openDockerd = async (
  program: string,
  place: {
    paths: EnginePaths;
    dataDir: string;
    path: readonly string[];
    env: NodeJS.ProcessEnv;
    say: (line: string) => void;
    existing?: ProcessRecord | undefined;
  },
) => {
  const [command, ...args] = toDockerdCommand(place.paths, {
    program,
    crun: findProgram(['crun'], place.path),
    configured: readConfigured(),
    hybridCgroups: hasHybridCgroups(),
  });
  const dockerd = supervise({
    name: 'dockerd',
    command,
    args,
    env: { ...place.env, PATH: place.path.join(':') },
    dataDir: place.dataDir,
    existing: place.existing,
    prepare: () => forgetDeadContainerd(place.paths.execRoot ?? usualExecRoot),
    grace_ms: 30_000,
    onExit: (end, pause_ms) => place.say(`The Docker engine ${end}; starting it again in ${pause_ms / 1000} s.`),
  });
  const answers = async () => (await readEngineState(`unix://${place.paths.socket}`, 2_000)).answers;
  if (await waitUntil(answers, { timeout_ms: 60_000, interval_ms: 50, giveUp: () => dockerd.exits() > 0 }))
    return dockerd;
  await dockerd.stop();
  throw new LocalError(
    `dockerd did not start. Its last words:\n${readLogTail(place.dataDir, 'dockerd')}\n(${toLogPath(place.dataDir, 'dockerd')})`,
  );
};
