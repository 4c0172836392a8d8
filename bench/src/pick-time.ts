import type { Resources } from '@berth/domain';
import type { Claimant, Dispatch, Settlement, Store } from '@berth/store';
import type { Redis } from 'ioredis';
import { percentile } from './statistics.js';
import { CLASS, SMALLEST, TOO_LITTLE } from './waiting-jobs.js';

/** One store full of waiting jobs. */
export interface Backlog {
  /** How many jobs it was filled with. */
  pending: number;
  store: Store;
}

/** What is free on the machine that asks: room for any job, for the smallest only, or for none. */
export const ROOMS = { any: { centicpus: 6_400, memory_mb: 262_144, gpus: 0 }, smallest: SMALLEST, none: TOO_LITTLE };
export type Room = keyof typeof ROOMS;

export interface PickTimes {
  p50_us: number;
  p99_us: number;
  /** Calls of the script that one draw took. */
  calls: number;
}

interface Used {
  calls: number;
  us: number;
}

/** What the server itself has spent in scripts: no network, no client, and no wait for the disk. */
const readScriptUse = async (redis: Redis): Promise<Used> => {
  const found = /cmdstat_evalsha:calls=(\d+),usec=(\d+)/.exec(await redis.info('commandstats'));
  return { calls: Number(found?.[1] ?? 0), us: Number(found?.[2] ?? 0) };
};

export const toClaimant = (name: string, capacity: Resources): Claimant => ({
  worker: `bench-${name}`,
  engine: `bench-${name}`,
  node: `bench-${name}`,
  labels: { disk: 'ssd' },
  region: 'default',
  datacenter: 'default',
  gpus: [],
  capacity,
});

/** As if its worker had stopped: the job waits again, where it did before. */
const RELEASED: Settlement = {
  type: 'released',
  cause: null,
  exit_code: null,
  message: null,
  delay_ms: 0,
  entry: { node: 'bench', image_digest: null, evidence: null },
};

const takeTickets = async (store: Store, count: number): Promise<Dispatch[]> => {
  const dispatches = await store.backlog.dispatch(CLASS, count, count);
  if (dispatches.length < count) throw new Error('there are too few tickets to draw');
  return dispatches;
};

/** Draws once. Returns the server's time for each call of the script, how many there were, and what puts back what was drawn. */
const drawOnce = async (redis: Redis, { store }: Backlog, room: Room, { job_id, ticket }: Dispatch) => {
  // One call answers unless there are very many shapes to look at, and three commands in one go are one wait for a busy machine.
  const drawing = () => store.claims.draw(CLASS, ticket, toClaimant(room, ROOMS[room]));
  const before = readScriptUse(redis);
  if (room === 'none') await before;
  const drawn = drawing();
  if (room === 'none') await drawn;
  const [reply, from, to] = await Promise.all([drawn, before, readScriptUse(redis)]);
  if ((reply.kind === 'claimed') === (room === 'none'))
    throw new Error(`a machine with room for ${room}: ${reply.kind}`);
  const calls = to.calls - from.calls;
  const putBack = async (): Promise<void> => {
    if (reply.kind === 'claimed') await store.claims.settle(reply.claim, RELEASED);
    else await store.backlog.redispatch(job_id, CLASS, ticket);
  };
  return { used: { calls, us: (to.us - from.us) / calls }, putBack };
};

const toTimes = (used: Used[]): PickTimes => {
  const times = used.map(({ us }) => us);
  return {
    p50_us: percentile(times, 0.5),
    p99_us: percentile(times, 0.99),
    calls: percentile(
      used.map(({ calls }) => calls),
      0.5,
    ),
  };
};

/** One draw from each backlog in turn, again and again, so that whatever else the machine does meets all of them alike. In their order. */
export const measurePicks = async (
  redis: Redis,
  backlogs: readonly Backlog[],
  { room, draws }: { room: Room; draws: number },
): Promise<PickTimes[]> => {
  const filled = await Promise.all(
    backlogs.map(async (backlog) => ({
      backlog,
      tickets: await takeTickets(backlog.store, draws),
      used: [] as Used[],
    })),
  );
  let last = async (): Promise<void> => undefined;
  for (let i = 0; i < draws; i += 1) {
    for (let turn = 0; turn < filled.length; turn += 1) {
      const { backlog, tickets, used } = filled[(i + turn) % filled.length] as (typeof filled)[number];
      const back = last();
      if (room === 'none') await back;
      const [one] = await Promise.all([drawOnce(redis, backlog, room, tickets[i] as Dispatch), back]);
      used.push(one.used);
      last = one.putBack;
    }
  }
  await last();
  return filled.map(({ used }) => toTimes(used));
};
