import type { Resources } from '@berth/domain';
import type { Redis } from 'ioredis';
import type { Keys } from './keys.js';

/** What a worker says of itself every few seconds. Times are Unix milliseconds. */
export interface Heartbeat {
  worker: string;
  node: string;
  engine: string;
  version: string;
  engine_version: string;
  oci_runtime: string;
  capacity: Resources;
  classes: string[];
  running: number;
  started_at: number;
  at: number;
}

/** A machine, as its workers report it. */
export interface Node {
  node: string;
  engine: string;
  state: 'ready' | 'lost';
  capacity: Resources;
  reserved: Resources;
  workers: Heartbeat[];
  last_heartbeat: number;
}

/** A worker silent for so long counts as lost, and is forgotten after a while more. */
const LOST_AFTER_MS = 30_000;
const FORGOTTEN_AFTER_MS = 10 * 60_000;

const toReserved = (fields: (string | null)[]): Resources => {
  const [centicpus, memory_mb, gpus] = fields.map((field) => Number(field ?? 0));
  return { centicpus: centicpus ?? 0, memory_mb: memory_mb ?? 0, gpus: gpus ?? 0 };
};

const max = (a: Resources, b: Resources): Resources => ({
  centicpus: Math.max(a.centicpus, b.centicpus),
  memory_mb: Math.max(a.memory_mb, b.memory_mb),
  gpus: Math.max(a.gpus, b.gpus),
});

export const createWorkerRegistry = (redis: Redis, keys: Keys) => {
  const readHeartbeats = async (now_ms: number): Promise<Heartbeat[]> => {
    const all = Object.values(await redis.hgetall(keys.workers)).map((text) => JSON.parse(text) as Heartbeat);
    const gone = all.filter((beat) => now_ms - beat.at > FORGOTTEN_AFTER_MS);
    if (gone.length > 0) await redis.hdel(keys.workers, ...gone.map((beat) => beat.worker));
    return all.filter((beat) => !gone.includes(beat)).sort((a, b) => (a.worker < b.worker ? -1 : 1));
  };

  return {
    async report(beat: Heartbeat): Promise<void> {
      await redis.hset(keys.workers, beat.worker, JSON.stringify(beat));
    },

    async leave(worker: string): Promise<void> {
      await redis.hdel(keys.workers, worker);
    },

    async readReserved(engine: string): Promise<Resources> {
      return toReserved(await redis.hmget(keys.reserved(engine), 'centicpus', 'memory_mb', 'gpus'));
    },

    /** One entry a machine; workers that share an engine are one machine. */
    async readNodes(now_ms: number): Promise<Node[]> {
      const byEngine = new Map<string, Heartbeat[]>();
      for (const beat of await readHeartbeats(now_ms)) {
        byEngine.set(beat.engine, [...(byEngine.get(beat.engine) ?? []), beat]);
      }
      const nodes = [...byEngine].map(async ([engine, workers]): Promise<Node> => {
        const last_heartbeat = Math.max(...workers.map((beat) => beat.at));
        return {
          node: workers[0]?.node ?? engine,
          engine,
          state: now_ms - last_heartbeat > LOST_AFTER_MS ? 'lost' : 'ready',
          capacity: workers.map((beat) => beat.capacity).reduce(max),
          reserved: await this.readReserved(engine),
          workers,
          last_heartbeat,
        };
      });
      return Promise.all(nodes);
    },
  };
};

export type WorkerRegistry = ReturnType<typeof createWorkerRegistry>;
