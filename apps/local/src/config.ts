import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { LocalError } from './local-error.js';

export interface Config {
  repoRoot: string;
  /** Broker, logs and records live here. */
  dataDir: string;
  redisUrl: string | undefined;
  dockerHost: string | undefined;
  /** Where an engine may listen when DOCKER_HOST does not say, most usual first. */
  engineSockets: string[];
  mayInstall: boolean;
  host: string;
  port: number;
  workerHost: string;
  workerPort: number;
  defaultImage: string;
  /** Folders to look for programs in. */
  path: string[];
  /** What children inherit. */
  env: NodeJS.ProcessEnv;
}

const root = fileURLToPath(new URL('../../../', import.meta.url));
const systemFolders = ['/usr/local/sbin', '/usr/local/bin', '/usr/sbin', '/usr/bin', '/sbin', '/bin'];

/** Throws one LocalError that names every variable with a bad value. */
export const parseConfig = (env: NodeJS.ProcessEnv, repoRoot = root): Config => {
  const problems: string[] = [];
  const text = (name: string): string | undefined => env[name]?.trim() || undefined;
  const port = (name: string, fallback: number): number => {
    const value = text(name);
    if (value === undefined) return fallback;
    const number = Number(value);
    if (Number.isInteger(number) && number >= 1 && number <= 65_535) return number;
    problems.push(`${name} is "${value}": set it to a port from 1 to 65535`);
    return fallback;
  };
  const flag = (name: string): boolean => {
    const value = text(name) ?? '0';
    if (!['0', '1', 'true', 'false'].includes(value)) problems.push(`${name} is "${value}": set it to 1 or 0`);
    return value === '1' || value === 'true';
  };
  const config: Config = {
    repoRoot,
    dataDir: resolve(repoRoot, text('BERTH_DATA_DIR') ?? '.berth'),
    redisUrl: text('REDIS_URL'),
    dockerHost: text('DOCKER_HOST'),
    engineSockets: toEngineSockets(text('XDG_RUNTIME_DIR')),
    mayInstall: !flag('BERTH_NO_INSTALL'),
    host: text('BERTH_HOST') ?? '127.0.0.1',
    port: port('BERTH_PORT', 8000),
    workerHost: text('BERTH_WORKER_HOST') ?? '127.0.0.1',
    workerPort: port('BERTH_WORKER_PORT', 8080),
    defaultImage: text('BERTH_DEFAULT_IMAGE') ?? 'busybox:stable',
    path: [...new Set([...(env.PATH ?? '').split(':').filter(Boolean), ...systemFolders])],
    env,
  };
  if (config.port === config.workerPort)
    problems.push(`BERTH_PORT and BERTH_WORKER_PORT are both ${config.port}: give each its own`);
  if (problems.length > 0) throw new LocalError(problems.join('\n'));
  return config;
};

const toEngineSockets = (runtimeDir: string | undefined): string[] => [
  '/var/run/docker.sock',
  ...(runtimeDir ? [join(runtimeDir, 'docker.sock')] : []),
  join(homedir(), '.docker/run/docker.sock'),
];

export const loadConfig = (): Config => parseConfig(process.env);
