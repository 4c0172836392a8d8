import { DEFAULT_PLACE, type Gpu, type GpuHold, type NodeView, type Resources } from '@berth/domain';
import type { ChainableCommander, Redis } from 'ioredis';
import type { Keys } from './keys.js';

/** What is in use on a machine, whoever uses it. */
export interface MachineUse {
  cpus: number;
  memory_mb: number;
}

export interface DiskSpace {
  total_mb: number;
  free_mb: number;
}

/** What workers have told only since they know of places and GPUs; one of an older version leaves it out. */
interface Inventory {
  labels: Record<string, string>;
  region: string;
  datacenter: string;
  gpus: Gpu[];
  /** Where the engine keeps its data. Null: this worker cannot see it. */
  disk: DiskSpace | null;
  /** Measured by the worker. Null: it sees another machine than its engine's, or has not looked twice yet. */
  used: MachineUse | null;
}

/** What a worker says of itself every few seconds. Times are Unix milliseconds, `at` by the broker's clock. */
export interface Heartbeat extends Inventory {
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

/** Without `at` it is now, by the broker's clock. */
export type ReportedHeartbeat = Omit<Heartbeat, keyof Inventory | 'at'> & Partial<Inventory> & { at?: number };

/** `draining`: it takes no more jobs and has some yet. `lost`: none of its workers has been heard for half a minute. */
export type NodeState = 'ready' | 'draining' | 'drained' | 'lost';

/** A machine, as its workers report it and the ledger has it. */
export interface Node extends NodeView {
  state: NodeState;
  gpu_holds: (GpuHold & { job_id: string })[];
  disk: DiskSpace | null;
  used: MachineUse | null;
  /** Ids of the jobs that run on it, in order. */
  running_jobs: string[];
  workers: Heartbeat[];
  last_heartbeat: number;
}

/** A worker silent for so long counts as lost, and is forgotten after a while more. Its jobs start again elsewhere before: see LEASE_MS. */
export const LOST_AFTER_MS = 30_000;
const FORGOTTEN_AFTER_MS = 10 * 60_000;

const UNKNOWN: Inventory = {
  labels: {},
  region: DEFAULT_PLACE,
  datacenter: DEFAULT_PLACE,
  gpus: [],
  disk: null,
  used: null,
};

const toReserved = (fields: (string | null)[]): Resources => {
  const [centicpus, memory_mb, gpus] = fields.map((field) => Number(field ?? 0));
  return { centicpus: centicpus ?? 0, memory_mb: memory_mb ?? 0, gpus: gpus ?? 0 };
};

const max = (a: Resources, b: Resources): Resources => ({
  centicpus: Math.max(a.centicpus, b.centicpus),
  memory_mb: Math.max(a.memory_mb, b.memory_mb),
  gpus: Math.max(a.gpus, b.gpus),
});

/** `<job>=<MB>;…` for each GPU, 0 MB for all of it: see `gpus.lua`. */
const toHolds = (byGpu: Record<string, string>): Node['gpu_holds'] =>
  Object.entries(byGpu).flatMap(([uuid, holders]) =>
    [...holders.matchAll(/([^=;]+)=(\d+);/g)].map(([, job_id = '', mb]) => ({
      uuid,
      job_id,
      memory_mb: mb === '0' ? null : Number(mb),
    })),
  );

const toState = (silent_ms: number, drained: boolean, running: number): NodeState => {
  if (silent_ms > LOST_AFTER_MS) return 'lost';
  if (!drained) return 'ready';
  return running > 0 ? 'draining' : 'drained';
};

const mergeGpus = (workers: Heartbeat[]): Gpu[] =>
  [...new Map(workers.flatMap((beat) => beat.gpus).map((gpu) => [gpu.uuid, gpu])).values()].sort(
    (a, b) => a.index - b.index,
  );

const findNewest = <T>(workers: Heartbeat[], read: (beat: Heartbeat) => T | null): T | null =>
  [...workers]
    .sort((a, b) => b.at - a.at)
    .map(read)
    .find((value) => value !== null) ?? null;

export interface Ledger {
  reserved: Resources;
  holds: Node['gpu_holds'];
  running_jobs: string[];
}

const toNode = (
  engine: string,
  workers: Heartbeat[],
  ledger: Ledger,
  seen: { now_ms: number; drained: Set<string> },
) => {
  const last_heartbeat = Math.max(...workers.map((beat) => beat.at));
  const newest = workers.find((beat) => beat.at === last_heartbeat) as Heartbeat;
  const drained = workers.some((beat) => seen.drained.has(beat.node));
  const node: Node = {
    node: workers[0]?.node ?? engine,
    engine,
    state: toState(seen.now_ms - last_heartbeat, drained, ledger.running_jobs.length),
    drained,
    labels: newest.labels,
    region: newest.region,
    datacenter: newest.datacenter,
    capacity: workers.map((beat) => beat.capacity).reduce(max),
    reserved: ledger.reserved,
    gpus: mergeGpus(workers),
    gpu_holds: ledger.holds,
    disk: findNewest(workers, (beat) => beat.disk),
    used: findNewest(workers, (beat) => beat.used),
    running_jobs: ledger.running_jobs,
    workers,
    last_heartbeat,
  };
  return node;
};

/** As workers reported them, in order of their names; and the workers that are to be forgotten. */
export const toHeartbeats = (texts: string[], now_ms: number): { there: Heartbeat[]; gone: string[] } => {
  // A literal that spreads two objects takes eight times as long, and hundreds of these are read for one answer.
  const all = texts.map((text) => Object.assign({}, UNKNOWN, JSON.parse(text) as Heartbeat));
  const isGone = ({ at }: Heartbeat) => now_ms - at > FORGOTTEN_AFTER_MS;
  const there = all.filter((beat) => !isGone(beat)).sort((a, b) => (a.worker < b.worker ? -1 : 1));
  return { there, gone: all.filter(isGone).map(({ worker }) => worker) };
};

/** What Redis has of an engine. */
interface LedgerFields {
  reserved: (string | null)[];
  gpus: Record<string, string>;
  running_jobs: string[];
}

export const toLedger = ({ reserved, gpus, running_jobs }: LedgerFields): Ledger => ({
  reserved: toReserved(reserved),
  holds: toHolds(gpus),
  running_jobs: running_jobs.sort(),
});

/** One entry a machine; workers that share an engine are one machine. */
export const toNodes = (
  beats: Heartbeat[],
  readLedger: (engine: string) => Ledger,
  seen: { now_ms: number; drained: Set<string> },
): Node[] => {
  const byEngine = new Map<string, Heartbeat[]>();
  for (const beat of beats) byEngine.set(beat.engine, [...(byEngine.get(beat.engine) ?? []), beat]);
  return [...byEngine].map(([engine, workers]) => toNode(engine, workers, readLedger(engine), seen));
};

/** The replies of a pipeline; throws the first error. */
export const run = async (pipeline: ChainableCommander): Promise<unknown[]> => {
  const replies = (await pipeline.exec()) ?? [];
  return replies.map(([error, reply]) => {
    if (error) throw error;
    return reply;
  });
};

export const createWorkerRegistry = (redis: Redis, keys: Keys) => {
  const readNow = async (): Promise<number> => {
    const [seconds, microseconds] = (await redis.time()) as unknown as [string, string];
    return Number(seconds) * 1_000 + Math.floor(Number(microseconds) / 1_000);
  };

  const readHeartbeats = async (now_ms: number): Promise<Heartbeat[]> => {
    const { there, gone } = toHeartbeats(Object.values(await redis.hgetall(keys.workers)), now_ms);
    if (gone.length > 0) await redis.hdel(keys.workers, ...gone);
    return there;
  };

  const readLedgers = async (engines: string[]): Promise<Map<string, Ledger>> => {
    const pipeline = redis.pipeline();
    for (const engine of engines) {
      pipeline.hmget(keys.reserved(engine), 'centicpus', 'memory_mb', 'gpus');
      pipeline.hgetall(keys.gpusOf(engine));
      pipeline.smembers(keys.runningOn(engine));
    }
    const replies = await run(pipeline);
    const toOne = (i: number): Ledger =>
      toLedger({
        reserved: replies[3 * i] as (string | null)[],
        gpus: replies[3 * i + 1] as Record<string, string>,
        running_jobs: replies[3 * i + 2] as string[],
      });
    return new Map(engines.map((engine, i) => [engine, toOne(i)]));
  };

  return {
    async report(beat: ReportedHeartbeat): Promise<void> {
      await redis.hset(keys.workers, beat.worker, JSON.stringify({ ...beat, at: beat.at ?? (await readNow()) }));
    },

    async leave(worker: string): Promise<void> {
      await redis.hdel(keys.workers, worker);
    },

    async readReserved(engine: string): Promise<Resources> {
      return toReserved(await redis.hmget(keys.reserved(engine), 'centicpus', 'memory_mb', 'gpus'));
    },

    /** One entry a machine; workers that share an engine are one machine. The time is the broker's, unless one is given. */
    async readNodes(now?: number): Promise<Node[]> {
      const now_ms = now ?? (await readNow());
      const beats = await readHeartbeats(now_ms);
      const engines = [...new Set(beats.map(({ engine }) => engine))];
      const [ledgers, drained] = await Promise.all([readLedgers(engines), redis.smembers(keys.drained)]);
      return toNodes(beats, (engine) => ledgers.get(engine) as Ledger, { now_ms, drained: new Set(drained) });
    },
  };
};

export type WorkerRegistry = ReturnType<typeof createWorkerRegistry>;
