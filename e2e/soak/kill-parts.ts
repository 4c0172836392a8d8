import { setTimeout as delay } from 'node:timers/promises';
import type { Program } from '../faults/program.js';
import type { Random } from '../faults/random.js';
import type { World } from '../faults/world.js';

export const EVERY_MS = 10_000;
const OWNER_KILLS = 3;

export interface Kills {
  worker: number;
  api: number;
  redis: number;
  /** Of the workers, those that owned the long job. */
  owners: number;
}

/** Which of the kills, counted from 1, are meant for the long job's owner: spread over the time that it runs. */
const toOwnerTurns = (long_ms: number): Set<number> => {
  const apart = Math.max(2, Math.floor(long_ms / EVERY_MS / (OWNER_KILLS + 0.5)));
  return new Set(Array.from({ length: OWNER_KILLS }, (_, i) => (i + 1) * apart));
};

interface Target {
  world: World;
  random: Random;
  long_id: string;
  long_ms: number;
}

const killOne = async (target: Target, kills: Kills, isOwnersTurn: boolean): Promise<string> => {
  const { world, random, long_id } = target;
  const part = random.pick(['worker', 'worker', 'api', 'redis'] as const);
  if (isOwnersTurn) {
    const owner = await world.ownerOf(long_id);
    owner.kill('SIGKILL');
    kills.worker += 1;
    kills.owners += 1;
    return `${owner.name}, owner of the long job`;
  }
  const programs = { worker: world.workers, api: world.apis, redis: [world.redis.program] }[part];
  const program = random.pick<Program>(programs);
  program.kill('SIGKILL');
  kills[part] += 1;
  return program.name;
};

/** One kill -9 every ten seconds, until `stop`. What is killed comes back by itself. */
export const killParts = (target: Target, kills: Kills, say: (text: string) => void) => {
  const stop = new AbortController();
  const turns = toOwnerTurns(target.long_ms);
  const work = async (): Promise<void> => {
    const begun = performance.now();
    for (let turn = 1; !stop.signal.aborted; turn += 1) {
      const pause = Math.max(0, begun + turn * EVERY_MS - performance.now());
      await delay(pause, undefined, { signal: stop.signal }).catch(() => undefined);
      if (stop.signal.aborted) return;
      const name = await killOne(target, kills, turns.has(turn)).catch((error: Error) => `nobody: ${error.message}`);
      say(`killed ${name}`);
    }
  };
  const working = work();
  return {
    async stop(): Promise<void> {
      stop.abort();
      await working;
    },
  };
};
