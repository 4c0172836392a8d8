import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { toPrefix, toTerminalLine } from './child-log.js';
import type { Config } from './config.js';
import { LocalError } from './local-error.js';
import { toLogPath } from './log-file.js';
import { type Supervised, supervise } from './supervisor.js';
import { waitUntil } from './wait-until.js';

/** A worker that is told to kill ends its containers and gives their jobs back, which takes up to 15 s. */
const GRACE_MS = 20_000;

export interface Programs {
  api: string;
  worker: string;
  reaper: string;
}

/** Ctrl-C leaves nothing behind: this worker does not leave its containers to a next one when it is told to stop. */
const ARGUMENTS: Partial<Record<keyof Programs, readonly string[]>> = { worker: ['--kill'] };

export const toPrograms = (repoRoot: string): Programs => ({
  api: join(repoRoot, 'apps/api/dist/main.js'),
  worker: join(repoRoot, 'apps/worker/dist/main.js'),
  reaper: join(repoRoot, 'apps/worker/dist/reaper-main.js'),
});

/** Where the worker leaves word for the reaper. */
export const toRunDir = (dataDir: string): string => join(dataDir, 'leases');

/** What a child is told, on top of what this process was told. */
export const toChildEnv = (
  config: Config,
  { redisUrl, dockerHost }: { redisUrl: string; dockerHost?: string },
): NodeJS.ProcessEnv => ({
  ...config.env,
  REDIS_URL: redisUrl,
  ...(dockerHost ? { DOCKER_HOST: dockerHost } : {}),
  BERTH_HOST: config.host,
  BERTH_PORT: String(config.port),
  BERTH_WORKER_PORT: String(config.workerPort),
  BERTH_DEFAULT_IMAGE: config.defaultImage,
  BERTH_DATA_DIR: config.dataDir,
  BERTH_RUN_DIR: toRunDir(config.dataDir),
});

/** A supervised node program whose warnings, crashes and restarts reach the terminal. */
export const openProgram = (
  name: keyof Programs,
  program: string,
  place: { env: NodeJS.ProcessEnv; dataDir: string; say: (line: string) => void },
): Supervised => {
  if (!existsSync(program)) throw new LocalError(`${program} is missing: type \`npm run build\`.`);
  return supervise({
    name,
    command: process.execPath,
    args: ['--enable-source-maps', program, ...(ARGUMENTS[name] ?? [])],
    env: place.env,
    dataDir: place.dataDir,
    grace_ms: GRACE_MS,
    onLine: (line) => {
      const shown = toTerminalLine(name, line);
      if (shown) place.say(shown);
    },
    onExit: (end, pause_ms) => place.say(`${toPrefix(name)} ${end}; starting it again in ${pause_ms / 1000} s`),
  });
};

/** Returns when `GET /ready` answers 200. Throws a LocalError after half a minute. */
export const waitForApi = async (base: string, dataDir: string, giveUp: () => boolean): Promise<void> => {
  const ready = await waitUntil(() => answersReady(base), { timeout_ms: 30_000, giveUp });
  if (!ready && !giveUp())
    throw new LocalError(`The API did not answer on ${base}/ready within 30 s. See ${toLogPath(dataDir, 'api')}.`);
};

const answersReady = async (base: string): Promise<boolean> => {
  try {
    const response = await fetch(`${base}/ready`, { signal: AbortSignal.timeout(2_000) });
    await response.arrayBuffer();
    return response.ok;
  } catch {
    return false;
  }
};
