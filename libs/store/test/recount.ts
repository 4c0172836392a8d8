import {
  ALL_USERS,
  type Bucket,
  type GpuHold,
  NO_RESOURCES,
  NO_TALLY,
  NO_USE,
  plus,
  type Quota,
  type Reservation,
  type Resources,
  type Shape,
  type Snapshot,
  type Tally,
  toGroupsOf,
  toQueueScore,
  toShape,
} from '@berth/domain';
import { CLASSES, toMachineView, type World } from './scheduling-world.js';

/** A job as its record has it. */
export interface Recorded {
  job_id: string;
  state: string;
  class: string;
  bucket: string;
  text: string;
  shape: Shape;
  score: number;
  engine: string;
  gpu_uuids: string[];
  ticket: string | undefined;
  /** It stands where a pick finds it. */
  waits: boolean;
  /** Nothing but room and quotas keeps it from running; it may still have to be moved to where a pick finds it. */
  is_ready: boolean;
}

const toRecorded = (job_id: string, fields: Record<string, string>): Recorded => {
  const text = fields.shape ?? '';
  const is_free = fields.state === 'pending' && fields.hold === undefined;
  return {
    job_id,
    state: fields.state ?? '',
    class: fields.class ?? '',
    bucket: fields.bucket ?? fields.user ?? '',
    text,
    shape: toShape(text),
    score: toQueueScore(Number(fields.priority), Number(fields.created_at)),
    engine: fields.engine ?? '',
    gpu_uuids: fields.gpu_uuids?.split(',') ?? [],
    ticket: fields.ticket,
    waits: is_free && fields.due_at === undefined,
    is_ready: is_free && Number(fields.due_at ?? 0) <= Date.now(),
  };
};

export const readJobs = async ({ store, redis, ids }: World): Promise<Recorded[]> =>
  Promise.all(ids.map(async (id) => toRecorded(id, await redis.hgetall(store.keys.job(id)))));

/** What the running jobs of each engine hold, by their records. */
export const recountEngine = (jobs: Recorded[], engine: string) => {
  const on = jobs.filter((job) => job.state === 'running' && job.engine === engine);
  const gpu_holds: (GpuHold & { job_id: string })[] = on.flatMap(({ job_id, gpu_uuids, shape }) =>
    gpu_uuids.map((uuid) => ({ job_id, uuid, memory_mb: shape.gpus?.memory_mb ?? null })),
  );
  const asked = on.reduce<Resources>((sum, { shape }) => plus(sum, { ...shape.ask, gpus: 0 }), NO_RESOURCES);
  const reserved = { ...asked, gpus: new Set(gpu_holds.map(({ uuid }) => uuid)).size };
  return { reserved, gpu_holds, running: on.map(({ job_id }) => job_id).sort() };
};

export const recountTallies = (jobs: Recorded[]): Record<string, Tally> => {
  const tallies: Record<string, Tally> = {};
  for (const job of jobs) {
    const { ask } = job.shape;
    for (const group of toGroupsOf(job)) {
      const tally = { ...(tallies[group] ?? NO_TALLY) };
      tallies[group] = tally;
      if (job.state === 'pending') tally.pending += 1;
      if (job.state !== 'running') continue;
      tally.running += 1;
      for (const measure of ['centicpus', 'memory_mb', 'gpus'] as const) tally[measure] += ask[measure];
    }
  }
  return tallies;
};

/** Everybody's place follows from the records; only the ranks are the store's. */
const toBuckets = (jobs: Recorded[], ranks: Map<string, number>): Bucket[] => {
  const buckets = new Map<string, Bucket>();
  for (const { bucket: user, text, shape, job_id, score } of jobs) {
    const rank = user === ALL_USERS ? NO_USE : (ranks.get(user) ?? NO_USE);
    const bucket = buckets.get(user) ?? { user, rank, queues: [] };
    buckets.set(user, bucket);
    const queue = bucket.queues.find((one) => one.text === text) ?? { text, shape, jobs: [] };
    if (queue.jobs.length === 0) bucket.queues.push(queue);
    queue.jobs.push({ job_id, score });
    queue.jobs.sort((a, b) => a.score - b.score || (a.job_id < b.job_id ? -1 : 1));
  }
  return [...buckets.values()];
};

const toScores = (flat: string[]): Map<string, number> => {
  const scores = new Map<string, number>();
  const toScore = (text = ''): number => (text === '-inf' ? NO_USE : Number(text));
  for (let i = 0; i < flat.length; i += 2) scores.set(flat[i] ?? '', toScore(flat[i + 1]));
  return scores;
};

const readReservation = async ({ store, redis }: World, engine: string): Promise<Reservation | undefined> => {
  const fields = await redis.hgetall(store.keys.reservation(engine));
  if (fields.job === undefined) return undefined;
  const left = { centicpus: Number(fields.centicpus), memory_mb: Number(fields.memory_mb), gpus: Number(fields.gpus) };
  return { job_id: fields.job, at: Number(fields.at), left };
};

/** All that decides what runs next, from the records. */
export const readSnapshot = async (world: World, jobs: Recorded[]): Promise<Snapshot> => {
  const { store, redis, claimants } = world;
  const [quotas, drained] = await Promise.all([redis.hgetall(store.keys.quotas), redis.smembers(store.keys.drained)]);
  const buckets: Record<string, Bucket[]> = {};
  for (const name of CLASSES) {
    const ranks = toScores(await redis.zrange(store.keys.eligible(name), '0', '-1', 'WITHSCORES'));
    buckets[name] = toBuckets(
      jobs.filter((job) => job.waits && job.class === name),
      ranks,
    );
  }
  const machines = claimants.map(async (by) => {
    const { reserved, gpu_holds } = recountEngine(jobs, by.engine);
    const reservation = await readReservation(world, by.engine);
    return toMachineView(by, { reserved, gpu_holds, drained: drained.includes(by.node), reservation });
  });
  return {
    at: Date.now(),
    buckets,
    machines: await Promise.all(machines),
    quotas: Object.fromEntries(Object.entries(quotas).map(([group, text]) => [group, JSON.parse(text) as Quota])),
    tallies: recountTallies(jobs),
  };
};
