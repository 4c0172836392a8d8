import { type Intent, type JobSpec, jobSpecSchema, toAsk, toJobShape } from '@berth/domain';
import type { Claim, Store } from '@berth/store';
import type { Redis } from 'ioredis';
import { toClaimant } from '../../libs/store/test/open-test-store.js';
import type { Random } from '../src/random.js';
import * as claims from '../src/record/claims.js';
import * as queues from '../src/record/queues.js';
import { type Ending, engineOf, type RecordModel } from '../src/record/record-model.js';

const WORKERS = [
  { worker: 'a1', engine: 'engine-a' },
  { worker: 'a2', engine: 'engine-a' },
  { worker: 'b1', engine: 'engine-b' },
];
export const ENGINES = ['engine-a', 'engine-b'];
const CAPACITY = { centicpus: 300, memory_mb: 1_000, gpus: 0 };
const WINDOW = 100;

/** The real record and its model, side by side. */
export interface Both {
  store: Store;
  redis: Redis;
  model: RecordModel;
  random: Random;
  /** Of the jobs that were accepted. */
  ids: string[];
  /** The most beats that the store has heard of. */
  memory: { seen: number };
}

export const sorted = <T>(values: Iterable<T>): T[] => [...values].sort();

/** Somebody's idea of who holds a job: mostly the truth, sometimes an epoch or an owner of before. */
const toHeld = ({ model, random, ids }: Both) => {
  const id = random.pick(ids);
  const job = model.jobs.get(id);
  const epoch = Math.max(1, (job?.epoch ?? 1) - (random.chance(0.2) ? 1 : 0));
  const owner = random.chance(0.75) && job?.owner ? job.owner : random.pick(WORKERS).worker;
  return { id, epoch, owner };
};

const toSpec = (cpus: number): JobSpec => ({
  ...jobSpecSchema.parse({ command: ['true'], cpus, memory_mb: 256 }),
  image: 'i',
});

const toReal = ({ id, epoch, owner }: ReturnType<typeof toHeld>): Claim => ({
  job_id: id,
  epoch,
  owner,
  attempt: 1,
  class: 'small',
  user: 'local',
  gpu_uuids: [],
  format: 'v1',
  spec: toSpec(1),
});

const ENDS: Omit<Ending, 'max_restarts'>[] = [
  { type: 'completed', cause: null, exit_code: 0, delay_ms: 0 },
  { type: 'failed', cause: 'exit_code', exit_code: 3, delay_ms: 0 },
  { type: 'retried', cause: 'timeout', exit_code: 143, delay_ms: 60_000 },
  { type: 'released', cause: null, exit_code: null, delay_ms: 0 },
  { type: 'lost', cause: 'engine_restarted', exit_code: null, delay_ms: 0 },
  { type: 'lost', cause: 'engine_restarted', exit_code: null, delay_ms: 0 },
  { type: 'cancelled', cause: 'cancelled', exit_code: 137, delay_ms: 0 },
];

/** One call of each; their replies have to be the same. */
type Call = (both: Both) => Promise<[real: unknown, model: unknown]>;

const ON_JOBS: Record<string, Call> = {
  async accept({ store, model, random, ids }) {
    if (ids.length >= 4) return [0, 0];
    const spec = toSpec(random.between(1, 4));
    const ask = toAsk(spec);
    const queue_timeout_seconds = random.chance(0.3) ? 100 : undefined;
    const timeout = queue_timeout_seconds === undefined ? {} : { queue_timeout_seconds };
    const { job_id, created_at } = await store.jobs.accept({ spec, class: 'small', ask, ...timeout });
    const queue_timeout_ms = queue_timeout_seconds === undefined ? undefined : queue_timeout_seconds * 1_000;
    queues.accept(model, created_at, { id: job_id, shape: toJobShape(spec), queue_timeout_ms });
    ids.push(job_id);
    return [0, 0];
  },
  async cancel({ store, model, random, ids }) {
    const id = random.pick(ids);
    const { kind, state } = (await store.jobs.cancel(id)) as { kind: string; state?: string };
    return [state === undefined ? { kind } : { kind, state }, queues.cancel(model, id)];
  },
  async dispatch({ store, model }) {
    const real = await store.backlog.dispatch('small', WINDOW, WINDOW);
    return [sorted(real.map(({ ticket }) => ticket)), sorted(queues.dispatch(model, Date.now(), WINDOW))];
  },
  async redispatch({ store, model, random, ids }) {
    const id = random.pick(ids);
    const ticket = `${id}-${random.between(1, 2)}`;
    await store.backlog.redispatch(id, 'small', ticket);
    queues.redispatch(model, id, ticket);
    return [0, 0];
  },
  async releaseDue({ store, model }) {
    return [(await store.backlog.releaseDue()).length, queues.releaseDue(model, Date.now()).length];
  },
  async failOverdue({ store, model }) {
    const real = await store.backlog.failOverdue();
    return [sorted(real.map((one) => one.job_id)), sorted(queues.failOverdue(model, Date.now()))];
  },
};

const toKnown = (reply: Awaited<ReturnType<Store['claims']['draw']>>) => {
  if (reply.kind !== 'claimed') return { kind: reply.kind };
  const { job_id: id, epoch, attempt } = reply.claim;
  return { kind: reply.kind, id, epoch, attempt };
};

/** Mostly one that was issued, for whichever job by now. */
const toTicket = ({ model, random, ids }: Both): string => {
  const issued = [...model.tickets.keys()];
  return issued.length > 0 && random.chance(0.8) ? random.pick(issued) : `${random.pick(ids)}-1`;
};

const ON_CLAIMS: Record<string, Call> = {
  async draw(both) {
    const { store, model, random, memory } = both;
    const [ticket, by, call] = [toTicket(both), random.pick(WORKERS), `call-${random.between(1, 3)}`];
    const real = await store.claims.draw('small', ticket, toClaimant({ ...by, capacity: CAPACITY }), call);
    return [toKnown(real), claims.draw(model, Date.now(), { ...by, ...memory, ticket, capacity: CAPACITY, call })];
  },
  async start(both) {
    const held = toHeld(both);
    return [await both.store.claims.start(toReal(held), 'sha256:a'), claims.start(both.model, Date.now(), held)];
  },
  async intend(both) {
    const held = toHeld(both);
    const intent: Intent = both.random.pick(['timeout', 'timeout', 'cancel']);
    return [await both.store.claims.intend(toReal(held), intent), claims.intend(both.model, { ...held, intent })];
  },
  async settle(both) {
    const [held, ending] = [toHeld(both), both.random.pick(ENDS)];
    const entry = { node: 'n', image_digest: null, evidence: null };
    const real = await both.store.claims.settle(toReal(held), { ...ending, message: null, entry });
    return [real, claims.settle(both.model, Date.now(), { ...held, ending })];
  },
  async renew(both) {
    const first = toHeld(both);
    const held = [first, { ...toHeld(both), owner: first.owner }];
    return [await both.store.claims.renew(held.map(toReal)), claims.renew(both.model, Date.now(), held)];
  },
  async expire({ store, model }) {
    return [sorted(await store.claims.expire(Date.now())), sorted(claims.expire(model, Date.now(), Date.now()))];
  },
};

const ON_ADOPTIONS: Record<string, Call> = {
  async adopt({ store, model, random, ids, memory }) {
    const [id, by] = [random.pick(ids), random.pick(WORKERS)];
    const real = await store.adoptions.adopt(id, { ...by, node: 'n' });
    const reply = claims.adopt(model, Date.now(), { ...by, ...memory, id });
    const known =
      typeof reply === 'string' || 'gone' in reply ? undefined : { ...reply, ran_ms: reply.ran_ms !== null };
    if (real === undefined) return [undefined, known];
    const { claim, ran_ms, intent } = real;
    return [{ epoch: claim.epoch, attempt: claim.attempt, ran_ms: ran_ms !== null, intent }, known];
  },
  async findOrphans({ store, model, random }) {
    const by = random.pick(WORKERS);
    return [sorted(await store.adoptions.findOrphans(by)), sorted(claims.orphans(model, Date.now(), by.engine))];
  },
  async letGo(both) {
    const held = toHeld(both);
    const by = WORKERS.find(({ worker }) => worker === held.owner) ?? both.random.pick(WORKERS);
    const real = await both.store.adoptions.letGo([toReal(held)], by);
    return [real, claims.letGo(both.model, Date.now(), { ...by, held: [held] })];
  },
  async beat({ store, model, random, memory }) {
    const by = random.pick(WORKERS);
    const real = await store.adoptions.beat(by, 'i');
    const known = claims.beat(model, Date.now(), { ...by, ...memory });
    memory.seen = Math.max(memory.seen, known.beats);
    return [
      [real.other_engines, real.went_back_at !== null ? 'went_back' : '', sorted(real.silent)],
      [known.other_engines, known.went_back ? 'went_back' : '', sorted(known.silent)],
    ];
  },
};

const ON_LOGS: Record<string, Call> = {
  async append(both) {
    const held = toHeld(both);
    const { piece, bytes } = queues.readPosition(both.model, held.id, held.epoch);
    const first = piece + (both.random.chance(0.2) ? 0 : 1);
    const to = bytes + both.random.between(1, 9);
    const pieces = [{ stream: 'stdout' as const, attempt: 1, bytes: Buffer.alloc(to - bytes, 'x') }];
    const real = await both.store.logs.append(toReal(held), { first, pieces });
    return [real, queues.append(both.model, { ...held, piece: first, from: bytes, to })];
  },
  async beginAnew(both) {
    const held = toHeld(both);
    return [await both.store.logs.beginAnew(toReal(held)), queues.beginAnew(both.model, held)];
  },
  async readPosition(both) {
    const { id, epoch } = toHeld(both);
    const { pieces, stdout } = await both.store.logs.readPosition(id, epoch);
    return [{ piece: pieces, bytes: stdout.bytes }, queues.readPosition(both.model, id, epoch)];
  },
};

/** Time passes for one thing, in both. */
const PASSING: Record<string, Call> = {
  async lease({ store, redis, model, random, ids }) {
    const [id, at] = [random.pick(ids), Date.now() - random.pick([1_000, 60_000])];
    if (!model.leases.has(id)) return [0, 0];
    await redis.zadd(store.keys.leases, at, id);
    model.leases.set(id, at);
    return [0, 0];
  },
  async silence({ store, redis, model, random }) {
    const { worker, engine } = random.pick(WORKERS);
    const [alive, at] = [engineOf(model, engine).alive, Date.now() - random.pick([10_000, 90_000])];
    if (!alive.has(worker)) return [0, 0];
    await redis.zadd(store.keys.aliveOn(engine), at, worker);
    alive.set(worker, at);
    return [0, 0];
  },
  async backOff({ store, redis, model, random, ids }) {
    const [id, at] = [random.pick(ids), Date.now() - 1_000];
    const job = model.jobs.get(id);
    if (!(job && model.due.has(id))) return [0, 0];
    await redis.multi().zadd(store.keys.due, at, id).hset(store.keys.job(id), 'due_at', at).exec();
    model.due.set(id, at);
    job.due_at = at;
    return [0, 0];
  },
  async queueDeadline({ store, redis, model, random, ids }) {
    const [id, at] = [random.pick(ids), Date.now() - 1_000];
    if (!model.queue_deadlines.has(id)) return [0, 0];
    await redis.zadd(store.keys.queueDeadlines, at, id);
    model.queue_deadlines.set(id, at);
    return [0, 0];
  },
};

/** The broker forgets that it was told of some signs of life, and a person sees to it: the one soon after the other. */
const FORGETTING: Record<string, Call> = {
  async goBack({ store, redis, model, random }) {
    const lost = Math.min(model.beats, random.between(1, 3));
    await redis.decrby(store.keys.beats, lost);
    model.beats -= lost;
    return [0, 0];
  },
  async seeToIt({ store, redis, model }) {
    await redis.del(store.keys.wentBack);
    model.went_back = false;
    return [0, 0];
  },
};

export const ALL: Record<string, Call> = {
  ...ON_JOBS,
  ...ON_CLAIMS,
  ...ON_ADOPTIONS,
  ...ON_LOGS,
  ...PASSING,
  ...FORGETTING,
};
const SEEN_TO = ['seeToIt', 'seeToIt', 'seeToIt'];
/** What leads on is called more often than what ends things. */
export const NAMES = [
  ...Object.keys(ALL),
  'draw',
  'draw',
  'draw',
  'draw',
  'start',
  'dispatch',
  'dispatch',
  'beat',
  'beat',
  'append',
  ...SEEN_TO,
];
