import { type Bucket, sortBuckets, sortQueues, type Tally } from '@berth/domain';
import { type Recorded, recountEngine, recountTallies } from './recount.js';
import { CLASSES, type World } from './scheduling-world.js';

const sorted = <T>(values: Iterable<T>): T[] => [...values].sort();

/** `<group>|<field>` of everything that is not 0. */
const toTallyFields = (tallies: Record<string, Tally>): Record<string, string> =>
  Object.fromEntries(
    Object.entries(tallies).flatMap(([group, tally]) =>
      Object.entries(tally)
        .filter(([, amount]) => amount !== 0)
        .map(([field, amount]) => [`${group}|${field}`, String(amount)]),
    ),
  );

/** By GPU, who holds how much of it: 0 is all. */
const toHolders = (holds: ReturnType<typeof recountEngine>['gpu_holds']): Record<string, string[]> => {
  const holders: Record<string, string[]> = {};
  for (const { uuid, job_id, memory_mb } of holds) {
    holders[uuid] = [...(holders[uuid] ?? []), `${job_id}=${memory_mb ?? 0}`].sort();
  }
  return holders;
};

const readHolders = async ({ store, redis }: World, engine: string): Promise<Record<string, string[]>> =>
  Object.fromEntries(
    Object.entries(await redis.hgetall(store.keys.gpusOf(engine))).map(([uuid, text]) => [
      uuid,
      text.split(';').filter(Boolean).sort(),
    ]),
  );

const readEngine = async (world: World, engine: string) => ({
  reserved: await world.store.workers.readReserved(engine),
  holders: await readHolders(world, engine),
  running: sorted(await world.redis.smembers(world.store.keys.runningOn(engine))),
});

/** What is stored of one class: its index, and who has a ticket. */
const readClass = async ({ store, redis }: World, name: string, shapesOf: (user: string) => string[]) => {
  const { keys } = store;
  const users = await redis.zrange(keys.eligible(name), '0', '-1');
  const queues = await Promise.all(
    users.flatMap((user) =>
      shapesOf(user).map(async (text) => {
        const hash = (await redis.call('EVAL', 'return redis.sha1hex(ARGV[1])', '0', text)) as string;
        return [`${user} ${text}`, await redis.zrange(keys.queue(name, user, hash), '0', '-1')] as const;
      }),
    ),
  );
  const shapes = await Promise.all(users.map((user) => redis.zrange(keys.shapes(name, user), '0', '-1')));
  const lengths = await Promise.all(users.map((user) => redis.hgetall(keys.queueLengths(name, user))));
  const tickets = await redis.hgetall(keys.tickets(name));
  return {
    users,
    shapes,
    lengths,
    queues: Object.fromEntries(queues),
    waiting: sorted([...(await redis.zrange(keys.backlog(name), '0', '-1')), ...Object.values(tickets)]),
    dispatched: sorted(await redis.zrange(keys.dispatched(name), '0', '-1')),
    tickets,
  };
};

const recountClass = (buckets: Bucket[], jobs: Recorded[]) => {
  const ordered = sortBuckets(buckets);
  const waiting = jobs.filter((job) => job.waits);
  const ticketed = waiting.filter((job) => job.ticket !== undefined);
  return {
    users: ordered.map(({ user }) => user),
    shapes: ordered.map(({ queues }) => sortQueues(queues).map(({ text }) => text)),
    lengths: ordered.map(({ queues }) =>
      Object.fromEntries(queues.map(({ text, jobs: queued }) => [text, String(queued.length)])),
    ),
    queues: Object.fromEntries(
      ordered.flatMap(({ user, queues }) =>
        queues.map(({ text, jobs: queued }) => [`${user} ${text}`, queued.map(({ job_id }) => job_id)]),
      ),
    ),
    waiting: sorted(waiting.map(({ job_id }) => job_id)),
    dispatched: sorted(ticketed.map(({ job_id }) => job_id)),
    tickets: Object.fromEntries(ticketed.map(({ ticket, job_id }) => [ticket, job_id])),
  };
};

/** All that is stored beside the records, and the same counted anew from the records. */
export const readBoth = async (world: World, jobs: Recorded[], buckets: Readonly<Record<string, Bucket[]>>) => {
  const engines = sorted(new Set(world.claimants.map(({ engine }) => engine)));
  const shapesOf = (name: string) => (user: string) =>
    buckets[name]?.find((bucket) => bucket.user === user)?.queues.map(({ text }) => text) ?? [];
  const stored = {
    tally: await world.redis.hgetall(world.store.keys.tally),
    engines: await Promise.all(engines.map((engine) => readEngine(world, engine))),
    classes: await Promise.all(CLASSES.map((name) => readClass(world, name, shapesOf(name)))),
  };
  const counted = {
    tally: toTallyFields(recountTallies(jobs)),
    engines: engines.map((engine) => {
      const { reserved, gpu_holds, running } = recountEngine(jobs, engine);
      return { reserved, holders: toHolders(gpu_holds), running };
    }),
    classes: CLASSES.map((name) =>
      recountClass(
        buckets[name] ?? [],
        jobs.filter((job) => job.class === name),
      ),
    ),
  };
  return { stored, counted };
};

/** What stands on a machine beyond what it has: nothing, ever. */
export const findOverbooked = ({ claimants }: World, jobs: Recorded[]): string[] =>
  claimants.flatMap(({ engine, capacity, gpus }) => {
    const { reserved, gpu_holds } = recountEngine(jobs, engine);
    const over = (['centicpus', 'memory_mb'] as const).filter((measure) => reserved[measure] > capacity[measure]);
    const gpusOver = gpus.filter(({ uuid, memory_mb }) => {
      const holds = gpu_holds.filter((hold) => hold.uuid === uuid);
      const used = holds.reduce((sum, hold) => sum + (hold.memory_mb ?? memory_mb), 0);
      return used > memory_mb || (holds.length > 1 && holds.some((hold) => hold.memory_mb === null));
    });
    return [...over.map((measure) => `${engine}: ${measure}`), ...gpusOver.map(({ uuid }) => uuid)];
  });
