import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createProgram, type Program } from './program.js';
import { programPath } from './worker.js';
import type { World } from './world.js';

/** Of a log's stream, and of a job's events. Addresses tell them apart at the API. */
const KINDS = {
  stalled: { address: '127.0.0.11', path: 'logs', behaviour: 'stalled' },
  gone: { address: '127.0.0.12', path: 'logs', behaviour: 'gone' },
  vanished: { address: '127.0.0.13', path: 'logs', behaviour: 'vanished' },
  slow: { address: '127.0.0.14', path: 'logs', behaviour: 'slow' },
  honest: { address: '127.0.0.15', path: 'logs', behaviour: 'honest' },
  returning: { address: '127.0.0.16', path: 'logs', behaviour: 'returning' },
  stalled_events: { address: '127.0.0.17', path: 'events', behaviour: 'stalled' },
  honest_events: { address: '127.0.0.18', path: 'events', behaviour: 'honest' },
} as const;
export type Kind = keyof typeof KINDS;
const ALL = Object.keys(KINDS) as Kind[];

const PORT = 8000;
const LOOK_MS = 250;
/** As on a network between machines: on loopback the system itself takes megabytes of what nobody reads. */
const MTU = 1_500;

/** An API in the network namespace of the first engine. */
export interface RemoteApi {
  program: Program;
  /** In bytes. */
  readMemory(): number;
  /** How many connections of these clients it holds, of all where none are named. */
  countConnections(...kinds: Kind[]): number;
  /** From now on; what it returns ends it, and says for how long in ms each connection of theirs has stood still at its end. */
  watchStalls(...kinds: Kind[]): () => number[];
}

export const openRemoteApi = async (world: World): Promise<RemoteApi> => {
  const [engine] = world.engines;
  if (engine === undefined) throw new Error('the world has no engine');
  await engine.space.sh(`ip link set lo mtu ${MTU}`);
  const [command = '', ...args] = [...engine.space.enter, process.execPath, programPath('apps/api/dist/main.js')];
  const program = createProgram({
    name: 'remote-api',
    command,
    args,
    env: {
      BERTH_PREFIX: world.prefix,
      BERTH_PORT: String(PORT),
      REDIS_URL: world.redis.url,
      BERTH_FILES: join(world.folder, 'files'),
    },
    folder: world.folder,
    keeper: world.keeper,
    isReady: (output) => output.includes('"listening"'),
  });
  await program.start();
  return {
    program,
    readMemory: () => 1024 * Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${program.pid}/status`, 'utf8'))?.[1]),
    countConnections: (...kinds) => readConnections(program.pid, kinds.length > 0 ? kinds : ALL).size,
    watchStalls: (...kinds) => watchStalls(program, kinds),
  };
};

const ESTABLISHED = '01';

/** What waits in the system to be sent, by connection. As the kernel of the process's namespace has it: addresses in hexadecimal. */
const readConnections = (pid: number, kinds: Kind[]): Map<string, string> => {
  const wanted = new Set(kinds.map((kind) => toHex(KINDS[kind].address)));
  const found = new Map<string, string>();
  for (const line of readFileSync(`/proc/${pid}/net/tcp`, 'utf8').split('\n').slice(1)) {
    const [, local = '', remote = '', state, queues = ''] = line.trim().split(/\s+/);
    const isOurs = Number.parseInt(local.split(':')[1] ?? '', 16) === PORT && wanted.has(remote.split(':')[0] ?? '');
    if (isOurs && state === ESTABLISHED) found.set(remote, queues.split(':')[0] ?? '');
  }
  return found;
};

const watchStalls = (program: Program, kinds: Kind[]) => {
  const seen = new Map<string, { queue: string; since: number; stood_ms: number }>();
  const look = (): void => {
    const found = program.alive ? readConnections(program.pid, kinds) : [];
    for (const [remote, queue] of found) {
      const known = seen.get(remote);
      if (known?.queue !== queue) seen.set(remote, { queue, since: Date.now(), stood_ms: 0 });
      else known.stood_ms = Date.now() - known.since;
    }
  };
  const looking = setInterval(look, LOOK_MS);
  return () => {
    clearInterval(looking);
    return [...seen.values()].map(({ stood_ms }) => stood_ms);
  };
};

/** Its bytes in reverse. */
const toHex = (address: string): string =>
  Buffer.from(address.split('.').map(Number).reverse()).toString('hex').toUpperCase();

/** What the clients say, see stalled-clients.mjs. */
export interface Said {
  kind?: Kind;
  sha256?: string;
  bytes?: number;
  events?: number;
  others?: string[];
  end?: { state: string; exit_code: number | null };
  was_cut?: boolean;
  from?: string;
  asked?: 'submit' | 'health';
  status?: number;
  ms?: number;
  job_id?: string;
  over?: true;
}

export interface StalledClients {
  program: Program;
  said(): Said[];
  /** Says to those that return that they have been let go: on a socket that is not read nothing is seen. */
  sendBack(): void;
}

/** Opens that many clients of each kind on a job's streams. */
export const openStalledClients = async (
  world: World,
  job_id: string,
  clients: Record<Kind, number>,
): Promise<StalledClients> => {
  const script = fileURLToPath(new URL('stalled-clients.mjs', import.meta.url));
  const enter = world.engines[0]?.space.enter ?? [];
  const all = JSON.stringify({ clients, kinds: KINDS });
  const [command = '', ...args] = [...enter, process.execPath, script, String(PORT), job_id, all];
  const program = createProgram({
    name: 'stalled-clients',
    command,
    args,
    folder: world.folder,
    keeper: world.keeper,
    isReady: (output) => output.includes('"asked"'),
  });
  await program.start();
  const read = () => program.allOutput().split('\n').slice(0, -1);
  return {
    program,
    said: () =>
      read()
        .filter((line) => line.startsWith('{'))
        .map((line) => JSON.parse(line) as Said),
    sendBack: () => program.kill('SIGUSR2'),
  };
};

/** The machine of those clients is gone: nothing of it arrives any more, nor says so. */
export const loseMachine = async (world: World, kind: Kind): Promise<void> =>
  world.engines[0]?.space.sh(`iptables -w -A INPUT -i lo -s ${KINDS[kind].address} -j DROP`);
