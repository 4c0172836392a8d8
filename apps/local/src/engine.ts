import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { readEngineState } from './docker-client.js';
import { type EnginePaths, openDockerd, usualPaths } from './dockerd.js';
import { findProgram } from './find-program.js';
import { enginePackages, installPackages, machineTakesPackages } from './install.js';
import { LocalError } from './local-error.js';
import type { ProcessRecord } from './process-record.js';
import { waitUntil } from './wait-until.js';

export interface Engine {
  /** A DOCKER_HOST. */
  host: string;
  describe: string;
  /** Stops it where we started it; an engine that was there before goes on. */
  close(): Promise<void>;
  kill(): void;
}

export interface EngineOptions {
  dockerHost: string | undefined;
  engineSockets: readonly string[];
  mayInstall: boolean;
  dataDir: string;
  path: readonly string[];
  env: NodeJS.ProcessEnv;
  say: (line: string) => void;
  /** Where a dockerd of ours puts its things. */
  paths?: EnginePaths;
  /** A dockerd of ours that an earlier, killed start left behind: it is ours again. */
  leftover?: ProcessRecord | undefined;
}

/** DOCKER_HOST, then a usual socket, then one that we start, installed first where we may. Says which. */
export const openEngine = async (options: EngineOptions): Promise<Engine> => {
  const engine = (await openRunning(options)) ?? (await openOurs(options));
  options.say(`Engine: ${engine.describe}`);
  return engine;
};

const openRunning = async (options: EngineOptions): Promise<Engine | undefined> => {
  if (options.dockerHost) return openGiven(options.dockerHost);
  for (const socket of options.engineSockets) {
    const found = existsSync(socket) ? await openSocket(socket, options) : undefined;
    if (found) return found;
  }
  return undefined;
};

const openGiven = async (host: string): Promise<Engine> => {
  const state = await readEngineState(host);
  if (!state.answers)
    throw new LocalError(
      `DOCKER_HOST is ${host}, and no Docker engine answers there (${state.reason}). Start it, or unset DOCKER_HOST.`,
    );
  return toForeign(host, `Docker ${state.version} on ${host} (DOCKER_HOST)`);
};

const openSocket = async (socket: string, options: EngineOptions): Promise<Engine | undefined> => {
  const host = `unix://${socket}`;
  const state = await readEngineState(host);
  if (state.answers) {
    const describe = `Docker ${state.version} on ${socket}`;
    return options.leftover ? openOursAgain(socket, describe, options) : toForeign(host, describe);
  }
  if (state.denied) throw new LocalError(toDeniedMessage(socket));
  return undefined;
};

const toForeign = (host: string, describe: string): Engine => ({
  host,
  describe,
  close: async () => {},
  kill: () => {},
});

const openOursAgain = async (socket: string, describe: string, options: EngineOptions): Promise<Engine> => {
  const program = findProgram(['dockerd'], options.path) ?? 'dockerd';
  const paths = { ...(options.paths ?? usualPaths), socket };
  const dockerd = await openDockerd(program, { ...options, paths, existing: options.leftover });
  const told = `${describe}, started by an earlier npm start`;
  return { host: `unix://${socket}`, describe: told, close: dockerd.stop, kill: dockerd.kill };
};

const openOurs = async (options: EngineOptions): Promise<Engine> => {
  const paths = options.paths ?? usualPaths;
  const host = `unix://${paths.socket}`;
  if (systemdStartsDocker()) {
    options.say('systemd is starting the Docker engine; waiting for it …');
    const answers = async () => (await readEngineState(host)).answers;
    if (await waitUntil(answers, { timeout_ms: 60_000, interval_ms: 250 }))
      return toForeign(host, `Docker on ${paths.socket}, started by systemd`);
  }
  const program = await findOrInstallDockerd(options);
  options.say('No Docker engine is running: starting dockerd …');
  const dockerd = await openDockerd(program, { ...options, paths });
  const state = await readEngineState(host);
  const version = state.answers ? state.version : 'engine';
  const describe = `Docker ${version} on ${paths.socket}, started here and stopped with Berth`;
  return { host, describe, close: dockerd.stop, kill: dockerd.kill };
};

const systemdStartsDocker = (): boolean => {
  if (!existsSync('/run/systemd/system')) return false;
  const { stdout } = spawnSync('systemctl', ['is-active', 'docker'], { encoding: 'utf8' });
  return ['active', 'activating'].includes(stdout?.trim());
};

const findOrInstallDockerd = async (options: EngineOptions): Promise<string> => {
  const isRoot = process.getuid?.() === 0;
  const found = findProgram(['dockerd'], options.path);
  if (found && isRoot) return found;
  if (found || !machineTakesPackages()) throw new LocalError(toMissingMessage(found !== undefined));
  if (!options.mayInstall)
    throw new LocalError(`${toMissingMessage(false)}\nBERTH_NO_INSTALL=1 keeps Berth from doing so itself.`);
  options.say('There is no Docker engine on this machine.');
  await installPackages(enginePackages, options);
  const installed = findProgram(['dockerd'], options.path);
  if (!installed) throw new LocalError('apt installed docker.io, but there is no dockerd on the PATH.');
  return installed;
};

/** The commands to type. Root needs no sudo, and no more than the packages: Berth then starts the engine itself. */
export const toMissingMessage = (
  installed: boolean,
  isRoot = process.getuid?.() === 0,
  platform: NodeJS.Platform = process.platform,
): string => {
  const after = 'Then run `npm start` again. An engine elsewhere: set DOCKER_HOST.';
  if (platform !== 'linux')
    return `No Docker engine answers. Start Docker Desktop (https://docs.docker.com/get-docker/). ${after}`;
  const sudo = isRoot ? '' : 'sudo ';
  const steps = [
    ...(installed ? [] : [`${sudo}apt-get update && ${sudo}apt-get install -y ${enginePackages.join(' ')}`]),
    ...(isRoot ? [] : ['sudo systemctl start docker', 'sudo usermod -aG docker "$USER" && newgrp docker']),
  ];
  const head = installed ? 'The Docker engine is installed, but does not run.' : 'There is no Docker engine here.';
  return `${head} Type (Debian, Ubuntu; elsewhere see https://docs.docker.com/engine/install/):\n  ${steps.join('\n  ')}\n${after}`;
};

const toDeniedMessage = (socket: string): string =>
  `A Docker engine listens on ${socket}, but this user may not use it. Type:\n  sudo usermod -aG docker "$USER" && newgrp docker\nThen run \`npm start\` again.`;
