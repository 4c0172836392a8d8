import { chmodSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { Broker } from './broker.js';
import { LocalError } from './local-error.js';
import { readLogTail, toLogPath } from './log-file.js';
import { brokerAnswers } from './redis-client.js';
import { supervise } from './supervisor.js';
import { waitUntil } from './wait-until.js';

/**
 * Every acknowledged write is on disk, nothing is ever evicted, and a job's record stays in Redis's compact form.
 * The two `ziplist` names are understood by Redis 6, Redis 7 and Valkey; newer ones call them `listpack`.
 */
export const durableSettings: readonly string[] = [
  ...['--appendonly', 'yes', '--appendfsync', 'always', '--save', ''],
  ...['--maxmemory-policy', 'noeviction'],
  ...['--hash-max-ziplist-value', '2048', '--hash-max-ziplist-entries', '128'],
];

export const toRedisArgs = (folder: string, socket: string): string[] => [
  ...['--port', '0', '--unixsocket', socket, '--unixsocketperm', '700'],
  ...['--dir', folder, '--daemonize', 'no', '--logfile', ''],
  ...durableSettings,
];

/** A kernel takes at most 107 bytes (103 on macOS) for the path of a socket. */
const longest_socket_path = 100;

const chooseSocket = (folder: string): string => {
  const usual = join(folder, 'redis.sock');
  if (Buffer.byteLength(usual) <= longest_socket_path) return usual;
  return join(mkdtempSync(join(tmpdir(), 'berth-')), 'redis.sock');
};

/** Starts the program on a unix socket in `<dataDir>/redis`, which only this user can enter. Throws where it does not start. */
export const openRedisProcess = async (
  program: string,
  place: { dataDir: string; env: NodeJS.ProcessEnv; say: (line: string) => void },
): Promise<Broker> => {
  const folder = join(place.dataDir, 'redis');
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  chmodSync(folder, 0o700);
  const socket = chooseSocket(folder);
  const redis = supervise({
    name: 'redis',
    command: program,
    args: toRedisArgs(folder, socket),
    env: place.env,
    dataDir: place.dataDir,
    grace_ms: 15_000,
    onExit: (end, pause_ms) => place.say(`The broker ${end}; starting it again in ${pause_ms / 1000} s.`),
  });
  const close = async () => {
    await redis.stop();
    if (dirname(socket) !== folder) rmSync(dirname(socket), { recursive: true, force: true });
  };
  const ready = await waitUntil(() => brokerAnswers(socket), { timeout_ms: 60_000, giveUp: () => redis.exits() > 0 });
  if (!ready) {
    await close();
    throw new LocalError(
      `${program} did not start on ${folder}. It said:\n${readLogTail(place.dataDir, 'redis')}\n(${toLogPath(place.dataDir, 'redis')})`,
    );
  }
  return { url: socket, describe: `${program} on ${socket}, every write on disk`, close, kill: redis.kill };
};
