import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import type { Keeper } from './keeper.js';
import { createProgram, type Program } from './program.js';
import { GROUND, type Space } from './space.js';

export interface RedisOptions {
  /** Bytes, or as in `100mb`. */
  maxmemory?: string;
  appendfsync?: 'always' | 'everysec';
  /** Its folder is a disk of so many MiB, which `fillDisk` fills. */
  disk_mb?: number;
}

/** A real redis-server that writes an append-only file. `program.pid` is its process: STOP and CONT work too. */
export interface RedisServer {
  program: Program;
  /** For processes of this machine, outside the namespaces. */
  url: string;
  /** For those in a worker's namespace: by the wire. */
  wireUrl: string;
  /** For tests. It connects again by itself; a command gives up after 30 s. */
  client: Redis;
  kill(signal: NodeJS.Signals): void;
  start(): Promise<void>;
  set(name: string, value: string): Promise<void>;
  /** With `appendfsync: 'always'` the server ends at the next write: it cannot keep its word. */
  fillDisk(): void;
  freeDisk(): void;
}

const PORT = 6379;

/** To be run in the ground's mount namespace before the server starts. */
export const toDiskScript = (folder: string, { disk_mb }: RedisOptions): string => {
  const data = join(folder, 'redis');
  return disk_mb ? `mkdir -p ${data} && mount -t tmpfs -o size=${disk_mb}m tmpfs ${data}` : `mkdir -p ${data}`;
};

export const openRedisServer = async (
  place: { folder: string; keeper: Keeper; ground: Space },
  options: RedisOptions,
): Promise<RedisServer> => {
  const data = join(place.folder, 'redis');
  mkdirSync(data, { recursive: true });
  const socket = join(place.folder, 'redis.sock');
  const [command = '', ...args] = [
    ...place.ground.enter,
    'redis-server',
    ...['--port', String(PORT), '--bind', GROUND, '--protected-mode', 'no', '--unixsocket', socket, '--dir', data],
    ...['--appendonly', 'yes', '--appendfsync', options.appendfsync ?? 'always', '--save', ''],
    ...['--maxmemory-policy', 'noeviction', '--maxmemory', options.maxmemory ?? '0', '--logfile', ''],
    ...['--hash-max-ziplist-value', '2048', '--hash-max-ziplist-entries', '128'],
  ];
  const client = new Redis({
    path: socket,
    lazyConnect: true,
    maxRetriesPerRequest: null,
    commandTimeout: 30_000,
    retryStrategy: () => 50,
  });
  client.on('error', () => undefined);
  const program = createProgram({
    name: 'redis',
    command,
    args,
    folder: place.folder,
    keeper: place.keeper,
    isReady: (output) => output.includes('Ready to accept connections'),
  });
  const filler = join(`/proc/${place.ground.pid}/root`, data, 'filler');
  await program.start();
  await client.connect();
  return {
    program,
    url: `unix://${socket}`,
    wireUrl: `redis://${GROUND}:${PORT}`,
    client,
    kill: program.kill,
    start: () => program.start(),
    set: async (name, value) => {
      await client.config('SET', name, value);
    },
    fillDisk: () => {
      if (!options.disk_mb) throw new Error('it has no disk of its own: give disk_mb');
      try {
        writeFileSync(filler, Buffer.alloc(options.disk_mb * 1024 * 1024));
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
      }
    },
    freeDisk: () => rmSync(filler, { force: true }),
  };
};
