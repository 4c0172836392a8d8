import type { Resources } from '@berth/domain';
import type { LogEntry, Store } from '@berth/store';
import type Docker from 'dockerode';
import type { Redis } from 'ioredis';
import type { Leftovers, Reservation, SeenContainer } from './evidence.js';

/** What there is of the system besides jobs: on its engines, and in the broker's other keys. */
export interface System {
  engines: Docker[];
  redis: Redis;
  store: Store;
}

const toSeen = ({ Id, State, Labels }: Docker.ContainerInfo): SeenContainer => ({
  id: Id,
  job_id: Labels['berth.job'] ?? '',
  epoch: Number(Labels['berth.epoch']),
  deadline: Number(Labels['berth.deadline']),
  running: State === 'running' || State === 'paused',
  paused: State === 'paused',
});

/** This installation's, on all engines. */
export const readContainers = async ({ engines, redis, store }: System): Promise<SeenContainer[]> => {
  const installation = await redis.get(store.keys.installation);
  if (installation === null) return [];
  const filters = JSON.stringify({ label: [`berth.installation=${installation}`] });
  const found = await Promise.all(engines.map((docker) => docker.listContainers({ all: true, filters })));
  return found.flat().map(toSeen);
};

const ANNOUNCED_PAGE = 1_000;

/** What the stream of all events still holds. */
export async function* readAnnounced({ redis, store }: System): AsyncGenerator<{ job_id: string; state: string }> {
  for (let from = '-'; ; ) {
    const entries = await redis.xrange(store.keys.events, from, '+', 'COUNT', ANNOUNCED_PAGE);
    for (const [, fields] of entries) {
      const read = (name: string) => fields[fields.indexOf(name) + 1] ?? '';
      yield { job_id: read('job'), state: read('state') };
    }
    const last = entries.at(-1)?.[0];
    if (entries.length < ANNOUNCED_PAGE || last === undefined) return;
    from = `(${last}`;
  }
}

/** All that a job's attempt wrote, oldest first. */
export const readEntries = async ({ store }: System, job_id: string, attempt: number): Promise<LogEntry[]> => {
  const all: LogEntry[] = [];
  for (let after: string | undefined; ; ) {
    const page = await store.logs.readAfter(job_id, after);
    if (page.length === 0) return all.filter((entry) => entry.attempt === attempt);
    all.push(...page);
    after = page.at(-1)?.id;
  }
};

const NOTHING: Resources = { centicpus: 0, memory_mb: 0, gpus: 0 };

const add = (a: Resources, b: Resources): Resources => ({
  centicpus: a.centicpus + b.centicpus,
  memory_mb: a.memory_mb + b.memory_mb,
  gpus: a.gpus + b.gpus,
});

/** A GPU that several jobs share is one. */
const toSum = (jobs: Ask[]): Resources => ({
  ...jobs.map(({ ask }) => ask).reduce(add, NOTHING),
  gpus: new Set(jobs.flatMap(({ gpu_uuids }) => gpu_uuids)).size,
});

type Ask = { engine: string; ask: Resources; gpu_uuids: string[] };

const readRunning = async ({ redis, store }: System): Promise<Ask[]> => {
  const ids = await redis.zrange(store.keys.jobsInState('running'), '0', '-1');
  const fields = ['engine', 'centicpus', 'memory_mb', 'gpu_uuids'] as const;
  return Promise.all(
    ids.map(async (id) => {
      const [engine, centicpus, memory_mb, uuids] = await redis.hmget(store.keys.job(id), ...fields);
      const ask = { centicpus: Number(centicpus), memory_mb: Number(memory_mb), gpus: 0 };
      return { engine: engine ?? '', ask, gpu_uuids: uuids?.split(',') ?? [] };
    }),
  );
};

/** The engines' ledgers beside the sums of what runs. The two are read one after the other: repeat it where they differ. */
export const readReservations = async (system: System, now_ms: number): Promise<Reservation[]> => {
  const { store } = system;
  const running = await readRunning(system);
  const nodes = await store.workers.readNodes(now_ms);
  const engines = new Set([...nodes.map((node) => node.engine), ...running.map(({ engine }) => engine)]);
  return Promise.all(
    [...engines].map(async (engine) => ({
      engine,
      ledger: await store.workers.readReserved(engine),
      jobs: toSum(running.filter((job) => job.engine === engine)),
      capacity: nodes.find((node) => node.engine === engine)?.capacity,
    })),
  );
};

export const readLeftovers = async (system: System, classes: Iterable<string>): Promise<Leftovers> => {
  const { redis, store } = system;
  const read = (key: string) => redis.zrange(key, '0', '-1');
  const queues = [...classes].flatMap((name) => [store.keys.backlog(name), store.keys.dispatched(name)]);
  const [containers, leases, queued, due, deadlines, tally] = await Promise.all([
    readContainers(system),
    read(store.keys.leases),
    Promise.all(queues.map(read)),
    read(store.keys.due),
    read(store.keys.queueDeadlines),
    redis.hgetall(store.keys.tally),
  ]);
  return {
    containers: containers.map(({ job_id, epoch }) => `of ${job_id}, epoch ${epoch},`),
    leases,
    queued: queued.flat(),
    waiting: [...due, ...deadlines],
    counted: Object.entries(tally).map(([field, count]) => `${field} ${count}`),
  };
};
