import type { Store } from '@berth/store';
import type { Redis } from 'ioredis';
import { engineOf } from '../src/record/record-model.js';
import { type Both, ENGINES, sorted } from './calls.js';

const readRealJob = async (store: Store, redis: Redis, id: string) => {
  const [job, more, history] = await Promise.all([
    store.jobs.read(id),
    redis.hmget(store.keys.job(id), 'intent', 'restarts'),
    store.jobs.readHistory(id),
  ]);
  return {
    state: job?.state,
    epoch: job?.epoch,
    attempt: job?.attempt,
    owner: job?.owner ?? undefined,
    intent: more[0] ?? undefined,
    restarts: Number(more[1] ?? 0),
    started: job?.started_at !== null,
    cause: job?.cause ?? '',
    exit_code: job?.exit_code ?? null,
    attempts: job?.attempts.map(({ epoch, cause }) => ({ epoch, cause: cause ?? '' })),
    events: history.map(({ type }) => type),
  };
};

/** Everything that is stored and that the model has, in one shape. */
export const readReal = async ({ store, redis, ids }: Both) => {
  const { keys } = store;
  const members = async (key: string) => sorted(await redis.zrange(key, '0', '-1'));
  const [beats, went_back] = await redis.mget(keys.beats, keys.wentBack);
  const [jobs, engines, leases, backlog, dispatched, tickets, due, queue_deadlines] = await Promise.all([
    Promise.all(ids.map((id) => readRealJob(store, redis, id))),
    Promise.all(
      ENGINES.map(async (name) => ({
        reserved: await store.workers.readReserved(name),
        running: sorted(await redis.smembers(keys.runningOn(name))),
        alive: await members(keys.aliveOn(name)),
      })),
    ),
    members(keys.leases),
    members(keys.backlog('small')),
    members(keys.dispatched('small')),
    redis.hgetall(keys.tickets('small')),
    members(keys.due),
    members(keys.queueDeadlines),
  ]);
  return {
    jobs,
    engines,
    leases,
    backlog,
    dispatched,
    tickets,
    due,
    queue_deadlines,
    beats: Number(beats),
    went_back: went_back !== null,
  };
};

export const readModel = ({ model, ids }: Both) => ({
  jobs: ids.map((id) => {
    const job = model.jobs.get(id);
    return {
      state: job?.state,
      epoch: job?.epoch,
      attempt: job?.attempt,
      owner: job?.owner,
      intent: job?.intent,
      restarts: job?.restarts,
      started: job?.started_at !== undefined,
      cause: job?.cause,
      exit_code: job?.exit_code,
      attempts: job?.attempts,
      events: job?.events,
    };
  }),
  engines: ENGINES.map((name) => {
    const { reserved, running, alive } = engineOf(model, name);
    return { reserved, running: sorted(running), alive: sorted(alive.keys()) };
  }),
  leases: sorted(model.leases.keys()),
  backlog: sorted(model.backlog),
  dispatched: sorted(model.dispatched.keys()),
  tickets: Object.fromEntries(model.tickets),
  due: sorted(model.due.keys()),
  queue_deadlines: sorted(model.queue_deadlines.keys()),
  beats: model.beats,
  went_back: model.went_back,
});
