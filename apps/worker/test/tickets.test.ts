import { openConsumer, openProducer } from '@berth/queue';
import { type Claim, type Claimant, openChannels, openEventFeed, openRedis, type Store } from '@berth/store';
import { expect, it, onTestFinished, vi } from 'vitest';
import { toSettlement } from '../../../libs/store/test/open-test-store.js';
import { startRelay } from '../../api/src/relay.js';
import { createRoom } from '../src/room.js';
import { takeJobs } from '../src/take-jobs.js';
import { pause } from '../src/waiting.js';
import { createLogBook, toSpec } from './fakes.js';
import { openRig } from './open-rig.js';

/**
 * Tickets under races: three workers on two engines, two classes, three users, jobs that come back, are cancelled, or lose their messages, and
 * a worker that dies with messages in its hands. Each ticket used for one job is exchanged for that of another; none may be lost for good.
 */
const CLASSES = ['small', 'medium'];
const USERS = ['alice', 'bob', 'carol'];
const COUNT = 200;
const LOCK_MS = 8_000;
const DEAD_LOCK_MS = 1_500;
/** The relay looks at a message that nobody took for 5 s, each second, and this machine may be busy with other things. */
const SWEPT_WITHIN_MS = 60_000;

const toClaimant = (worker: string, engine: string, zone: string): Claimant => ({
  ...{ worker, engine, node: engine, labels: { zone }, region: 'default', datacenter: 'default' },
  capacity: { centicpus: 400, memory_mb: 2_000, gpus: 0 },
  gpus: [0, 1].map((index) => ({ index, uuid: `GPU-${engine}-${index}`, name: 'NVIDIA L4', memory_mb: 24_000 })),
});

const WORKERS = [toClaimant('w1', 'e1', 'a'), toClaimant('w2', 'e1', 'a'), toClaimant('w3', 'e2', 'b')];

const toFields = (i: number) => ({
  cpus: [0.5, 1, 2][i % 3],
  memory_mb: [64, 300][i % 2],
  priority: [0, 50, 100][i % 3],
  timeout_seconds: [60, 600][i % 2],
  ...(i % 5 === 0 ? { node_selector: { zone: i % 2 ? 'a' : 'b' } } : {}),
  ...(i % 7 === 0 ? { gpus: i % 2 ? { count: 1 } : { count: 1, memory_mb: 10_000 } } : {}),
});

const openBroker = (use: 'blocking' | 'steady') => {
  const redis = openRedis(process.env.REDIS_URL ?? '', use);
  redis.on('error', () => {});
  onTestFinished(() => redis.disconnect());
  return redis;
};

type Rig = ReturnType<typeof openRig>;

const openTicketRig = async () => {
  const rig = openRig('tickets', []);
  const redis = openBroker('steady');
  const prefix = rig.store.keys.bull;
  const errors: Error[] = [];
  const onError = (error: Error) => errors.push(error);
  const { log } = createLogBook();
  const producer = openProducer({ redis, prefix, classes: CLASSES, onError });
  const feed = await openEventFeed(openBroker('blocking'), rig.store.keys);
  const relay = startRelay({ store: rig.store, producer, feed, classes: CLASSES, log });
  const closing: (() => Promise<unknown>)[] = [() => relay.close(), () => feed.close(), () => producer.close()];
  const channels = openChannels(openBroker('blocking'));

  const openOne = (className: string, worker: string, lock_ms = LOCK_MS) =>
    openConsumer({ className, redis, prefix, worker, onError, lock_ms });

  /** The loops of one worker, as they are; only its containers are not. */
  const startWorker = async (by: Claimant, run: (claim: Claim) => Promise<void>): Promise<void> => {
    const room = createRoom();
    await channels.subscribe(rig.store.keys.engineChannel(by.engine), (word) => word === 'room' && room.signal());
    const loops = CLASSES.map((className) => {
      const consumer = openOne(className, by.worker);
      const loop = takeJobs({
        ...{ className, consumer, claims: rig.store.claims, claimant: by, room, gate: { passed: async () => {} }, log },
        onWentBack: () => {},
        run: async (claim, origin) => {
          await run(claim);
          await origin?.delivery?.complete({ state: 'ended', node: by.node, exit_code: 0, cause: null });
        },
      });
      return { consumer, loop };
    });
    closing.unshift(async () => {
      room.close();
      await Promise.all(loops.map(({ consumer }) => consumer.close()));
      await Promise.all(loops.map(({ loop }) => loop));
    });
  };
  const close = async () => {
    for (const step of closing) await step();
  };
  return { rig, producer, errors, openOne, startWorker, close };
};

/** Plays a job: most complete, some come back in one way or another. */
const createPlayer = (store: Store) => {
  let played = 0;
  return async (claim: Claim): Promise<void> => {
    played += 1;
    // Lost in three epochs it would end as poison.
    const is_lost = played % 13 === 0 && claim.epoch < 3;
    const type = played % 11 === 0 ? 'released' : is_lost ? 'lost' : played % 17 === 0 ? 'retried' : 'completed';
    await store.claims.start(claim, 'sha256:a');
    await pause(5 + (played % 7) * 5);
    await store.claims.settle(claim, toSettlement(type, { delay_ms: 50 }));
  };
};

/** Looks all the time whether all who are on their way have a ticket, and for how long one was without its message. */
const watchTickets = ({ store, redis }: Rig, isLive: (className: string, ticket: string) => Promise<boolean>) => {
  const since = new Map<string, number>();
  const found = { longest_ms: 0, exchanged: 0, disagreed: [] as string[] };
  const lookAt = async (className: string): Promise<void> => {
    const { keys } = store;
    const read = redis.multi().hgetall(keys.tickets(className)).zrange(keys.dispatched(className), '0', '-1');
    const [[, tickets], [, dispatched]] = (await read.exec()) as [[null, Record<string, string>], [null, string[]]];
    const holders = Object.values(tickets).sort().join();
    if (holders !== dispatched.sort().join()) found.disagreed.push(`${holders} / ${dispatched}`);
    found.exchanged += Object.entries(tickets).filter(([ticket, id]) => !ticket.startsWith(id)).length;
    for (const ticket of Object.keys(tickets)) {
      if (await isLive(className, ticket)) since.delete(ticket);
      else since.set(ticket, since.get(ticket) ?? Date.now());
      found.longest_ms = Math.max(found.longest_ms, Date.now() - (since.get(ticket) ?? Date.now()));
    }
  };
  let is_open = true;
  const looking = (async () => {
    while (is_open) {
      for (const className of CLASSES) await lookAt(className);
      await pause(50);
    }
  })();
  return async () => {
    is_open = false;
    await looking;
    return found;
  };
};

const submitAll = async (rig: Rig): Promise<string[]> => {
  const ids: string[] = [];
  for (let i = 0; i < COUNT; i += 1) {
    const spec = toSpec(toFields(i));
    const ask = { centicpus: Math.round(spec.cpus * 100), memory_mb: spec.memory_mb, gpus: spec.gpus?.count ?? 0 };
    const { job_id } = await rig.store.jobs.accept({
      ...{ spec, ask, class: CLASSES[i % 2] ?? '', user: USERS[i % 3] ?? '' },
    });
    ids.push(job_id);
    if (i % 23 === 5) await rig.store.jobs.cancel(ids[Math.floor(i / 2)] ?? '');
  }
  return ids;
};

/** What is left of the queues, the counts and the ledger when all has ended. */
const readLeftovers = async ({ store, redis }: Rig) => {
  const { keys } = store;
  const perClass = CLASSES.flatMap((name) => [
    keys.tickets(name),
    keys.dispatched(name),
    keys.backlog(name),
    keys.eligible(name),
  ]);
  const perEngine = ['e1', 'e2'].flatMap((engine) => [keys.gpusOf(engine), keys.runningOn(engine)]);
  const all = [...perClass, ...perEngine, keys.tally, keys.due, keys.leases, keys.queueDeadlines];
  const left = await Promise.all(all.map(async (key) => ((await redis.exists(key)) ? [key] : [])));
  const queues = await redis.keys(`${keys.prefix}:queue:*`);
  const shapes = await redis.keys(`${keys.prefix}:shapes:*`);
  const reserved = await Promise.all(['e1', 'e2'].map((engine) => store.workers.readReserved(engine)));
  return { keys: [...left.flat(), ...queues, ...shapes], reserved };
};

const NOTHING = { centicpus: 0, memory_mb: 0, gpus: 0 };

it('no ticket is lost, no job stays without one, and nothing is left when all have ended', async () => {
  const { rig, producer, errors, openOne, startWorker, close } = await openTicketRig();
  await rig.redis.hset(rig.store.keys.cluster, { centicpus: 800, memory_mb: 4_000, gpus: 4 });
  const stopWatching = watchTickets(rig, producer.isLive);
  const submitting = submitAll(rig);

  // It takes messages, and is never heard of again.
  const dead = openOne('small', 'dead', DEAD_LOCK_MS);
  const held = await dead.take();
  await dead.close();
  expect(held).toBeDefined();
  await vi.waitFor(
    async () => expect(await rig.redis.hlen(rig.store.keys.tickets('medium'))).toBeGreaterThan(3),
    30_000,
  );
  const tickets = Object.keys(await rig.redis.hgetall(rig.store.keys.tickets('medium')));
  await Promise.all(tickets.slice(0, 3).map((ticket) => producer.remove('medium', ticket)));

  const play = createPlayer(rig.store);
  await Promise.all(WORKERS.map((by) => startWorker(by, play)));
  const ids = await submitting;
  const untilEnded = async () =>
    expect(await rig.store.list.countByState(['pending', 'running'])).toEqual({ pending: 0, running: 0 });
  await vi.waitFor(untilEnded, { timeout: 200_000, interval: 100 });

  const { longest_ms, exchanged, disagreed } = await stopWatching();
  expect(disagreed).toEqual([]);
  expect(longest_ms).toBeGreaterThan(0);
  expect(longest_ms).toBeLessThan(SWEPT_WITHIN_MS);
  expect(exchanged).toBeGreaterThan(0);
  const untilNoMessages = async () => {
    for (const queue of producer.queues) {
      expect(await queue.getJobCounts('waiting', 'prioritized', 'active', 'delayed')).toEqual({
        ...{ waiting: 0, prioritized: 0, active: 0, delayed: 0 },
      });
    }
  };
  await vi.waitFor(untilNoMessages, { timeout: 60_000, interval: 100 });
  const records = await rig.store.jobs.readMany(ids);
  expect(records.filter(({ state }) => state !== 'completed' && state !== 'cancelled')).toEqual([]);
  expect(records.filter(({ state }) => state === 'completed').length).toBeGreaterThan(COUNT * 0.9);
  expect(await readLeftovers(rig)).toEqual({ keys: [], reserved: [NOTHING, NOTHING] });
  for (const user of USERS) {
    const level = Number(await rig.redis.zscore(rig.store.keys.shares, user));
    expect(Number.isFinite(level) && level > 0, user).toBe(true);
  }
  expect(errors).toEqual([]);
  await close();
}, 300_000);
