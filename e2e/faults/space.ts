import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { promisify } from 'node:util';
import type { Keeper } from './keeper.js';

const run = promisify(execFile);

/** A network namespace, and a mount namespace where asked for, held open by a process that only sleeps. */
export interface Space {
  pid: number;
  /** What to put in front of a command so that it runs inside. */
  enter: string[];
  /** Runs a shell script inside; throws with what it said where it fails. */
  sh(script: string): Promise<void>;
}

/** `script` sets it up. Mounts made in it are seen by nobody outside, and gone with its last process. */
export const openSpace = async (keeper: Keeper, script: string, mounts = false): Promise<Space> => {
  const kinds = mounts ? ['-n', '-m'] : ['-n'];
  const whole = `set -e; ip link set lo up; ${script}; echo ready; exec sleep infinity`;
  const holder = spawn('unshare', [...kinds, 'sh', '-c', whole], { detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
  if (holder.pid === undefined) throw new Error('could not start unshare');
  let said = '';
  holder.stderr.on('data', (data) => {
    said += data;
  });
  const failed = once(holder, 'exit').then(() => Promise.reject(new Error(`a namespace could not be set up: ${said}`)));
  failed.catch(() => undefined);
  await Promise.race([once(holder.stdout, 'data'), failed]);
  keeper.ownSpace(holder.pid);
  const enter = ['nsenter', '-t', String(holder.pid), ...kinds];
  return {
    pid: holder.pid,
    enter,
    sh: async (inside) => {
      const [program = '', ...args] = [...enter, 'sh', '-ec', inside];
      await run(program, args);
    },
  };
};

/** `to`: what the worker sends is lost. `from`: what is sent to it. */
type Direction = 'both' | 'to' | 'from';

/** The wire between one worker's network namespace and the broker's. The engine is reached past it, by its unix socket. */
export interface WorkerSpace extends Space {
  /** Packets are thrown away without a word; connections stay open. */
  drop(direction?: Direction): Promise<void>;
  /** Of all packets in both directions, this part is lost. */
  lose(share: number): Promise<void>;
  /** The cable is pulled: the worker's own kernel says that there is no network. */
  down(): Promise<void>;
  heal(): Promise<void>;
  /** What was sent over the connections of now and did not arrive never will, also when the wire is whole again: the
   * kernel goes on sending what a dead process has left. */
  forget(): Promise<void>;
}

/** Where the broker and the ledger listen, seen from every worker and container. */
export const GROUND = '10.99.0.1';

const CHAINS: Record<Direction, string[]> = { both: ['INPUT', 'OUTPUT'], to: ['OUTPUT'], from: ['INPUT'] };

/** Namespace number `i` of a worker, wired to the ground. */
export const openWorkerSpace = async (keeper: Keeper, ground: Space, i: number): Promise<WorkerSpace> => {
  const space = await openSpace(keeper, ':');
  const [there, here] = [`10.98.${i}.1`, `10.98.${i}.2`];
  await ground.sh(
    `ip link add worker${i} type veth peer name wire netns ${space.pid}; ip addr add ${there}/30 dev worker${i}; ip link set worker${i} up`,
  );
  const up = `ip link set wire up; ip route replace default via ${there}`;
  await space.sh(`ip addr add ${here}/30 dev wire; ${up}`);
  const add = (chains: string[], match: string) =>
    space.sh(
      chains
        .map((chain) => `iptables -w -A ${chain} ! -i lo ${match} -j DROP`.replace(/(OUTPUT) ! -i/, '$1 ! -o'))
        .join('; '),
    );
  return {
    ...space,
    drop: (direction = 'both') => add(CHAINS[direction], ''),
    lose: (share) => add(CHAINS.both, `-m statistic --mode random --probability ${share}`),
    down: () => space.sh('ip link set wire down'),
    heal: () => space.sh(`iptables -w -F; ${up}`),
    forget: () =>
      space.sh(
        `ss -Htan | awk '{ print $4 }' | sed 's/.*://' | while read port; do iptables -w -t mangle -A OUTPUT -p tcp --sport $port -j DROP; done`,
      ),
  };
};
