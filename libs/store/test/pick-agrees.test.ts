import {
  fitsEmpty,
  fitsNow,
  isEligible,
  isWithin,
  judgeJob,
  type MachineView,
  NO_TALLY,
  pick,
  type Quota,
  type Snapshot,
  toDefaultGroup,
  toGroupsOf,
} from '@berth/domain';
import type { Claimant } from '@berth/store';
import { expect, it } from 'vitest';
import { findKeys, openTestStore, type TestStore, toNewJob, toSettlement } from './open-test-store.js';
import { type Recorded, readJobs, readSnapshot } from './recount.js';
import {
  ACROSS,
  ARRAY,
  CLASSES,
  createClaimants,
  createDice,
  GROUPS,
  toQuota,
  toSpecFields,
  USERS,
  type World,
} from './scheduling-world.js';
import { findOverbooked, readBoth } from './stored-places.js';

/**
 * The scripts and the pure functions are given the same states, made by chance: several users and classes, machines with GPUs, labels and
 * places, quotas, reservations, drained nodes. They have to choose the same job and the same GPUs for the same machine. After each step all
 * that is stored beside the records is counted anew from the records. `SEED=` repeats one sequence.
 */
const SEQUENCES = 20;
/** The rarest of what is expected comes about in one of a dozen. */
const MOST_SEQUENCES = 300;
const STEPS = 60;

interface Look {
  jobs: Recorded[];
  snapshot: Snapshot;
}

const look = async (world: World): Promise<Look> => {
  const jobs = await readJobs(world);
  return { jobs, snapshot: await readSnapshot(world, jobs) };
};

const machineOf = ({ snapshot }: Look, by: Claimant): MachineView => {
  const found = snapshot.machines.find(({ node }) => node === by.node);
  if (!found) throw new Error(`no machine ${by.node}`);
  return found;
};

/** By other functions than the pick is made of: a job that could run on the machine at once, if it is free to take any. */
const findRunnable = ({ jobs, snapshot }: Look, className: string, machine: MachineView): Recorded | undefined => {
  if (machine.drained || machine.reservation) return undefined;
  const quotaOf = (group: string): Quota => {
    const all = group.startsWith('user/') ? snapshot.quotas[toDefaultGroup(group)] : undefined;
    return snapshot.quotas[group] ?? all ?? {};
  };
  const isIdle = machine.reserved.centicpus === 0 && machine.gpu_holds.length === 0;
  return jobs.find(
    (job) =>
      job.waits &&
      job.class === className &&
      isEligible(job.shape, machine) &&
      (isIdle ? fitsEmpty(job.shape, machine) : fitsNow(job.shape, machine)) &&
      toGroupsOf(job).every((group) => isWithin(quotaOf(group), snapshot.tallies[group] ?? NO_TALLY, job.shape.ask)),
  );
};

type Step = (world: World, seen: Set<string>) => Promise<void>;

const draw: Step = async (world, seen) => {
  const { store, redis, dice, claimants, messages } = world;
  const [className, by] = [dice.pick(CLASSES), dice.pick(claimants)];
  const waiting = messages[className] ?? new Set();
  if (waiting.size === 0) return;
  const ticket = dice.pick([...waiting]);
  const is_issued = (await redis.hexists(store.keys.tickets(className), ticket)) === 1;
  const before = await look(world);
  const machine = machineOf(before, by);
  const expected = is_issued ? pick(before.snapshot, className, machine) : undefined;
  const reply = await store.claims.draw(className, ticket, by);
  seen.add(`draw ${reply.kind}`);
  const found = reply.kind === 'claimed' ? { job_id: reply.claim.job_id, gpu_uuids: reply.claim.gpu_uuids } : undefined;
  expect(found).toEqual(expected && { job_id: expected.job_id, gpu_uuids: expected.gpu_uuids });
  expect(reply.kind === 'gone').toBe(!is_issued);
  if (reply.kind === 'none') {
    expect(findRunnable(before, className, machine)).toBeUndefined();
    return;
  }
  waiting.delete(ticket);
  if (reply.kind !== 'claimed') return;
  world.running.push(reply.claim);
  if (expected?.shape.gpus) seen.add(expected.shape.gpus.memory_mb ? 'slices given' : 'GPUs given');
  if (expected?.takes_left) seen.add('beside a reservation');
  if (machine.reservation?.job_id === reply.claim.job_id) seen.add('the reserved one');
};

const claimOne: Step = async (world, seen) => {
  const { store, dice, claimants, ids } = world;
  const [id, by, before] = [dice.pick(ids), dice.pick(claimants), await look(world)];
  const job = before.jobs.find(({ job_id }) => job_id === id);
  if (!job) throw new Error(`no record of ${id}`);
  const constraints = judgeJob(job, machineOf(before, by), before.snapshot);
  for (const { kind } of job.is_ready ? constraints : []) seen.add(`constraint ${kind}`);
  const reply = await store.claims.claim(id, by);
  const expected = !job.is_ready ? 'gone' : constraints.length > 0 ? 'none' : 'claimed';
  expect([reply.kind, constraints]).toEqual([expected, constraints]);
  if (reply.kind === 'claimed') world.running.push(reply.claim);
};

const submit: Step = async ({ store, dice, ids }) => {
  const name = dice.pick(CLASSES);
  const { job_id } = await store.jobs.accept(
    toNewJob(toSpecFields(dice), {
      class: name,
      user: dice.pick(USERS),
      across_users: name === ACROSS,
      hold: dice.chance(0.05),
      ...(dice.chance(0.2) ? { groups: [ARRAY] } : {}),
    }),
  );
  ids.push(job_id);
};

const dispatch: Step = async ({ store, dice, messages }) => {
  const name = dice.pick(CLASSES);
  for (const { ticket } of await store.backlog.dispatch(name, 12, dice.between(1, 8))) messages[name]?.add(ticket);
};

const settle: Step = async ({ store, dice, running }) => {
  const [claim] = running.splice(dice.between(0, running.length - 1), 1);
  if (!claim) return;
  const type = dice.pick(['completed', 'completed', 'failed', 'retried', 'released', 'lost'] as const);
  await store.claims.settle(claim, toSettlement(type, { delay_ms: dice.pick([0, 60_000]) }));
};

/** A message is lost, or somebody thinks so of one whose job has another ticket by now. */
const loseMessage: Step = async ({ store, redis, dice, messages }) => {
  const name = dice.pick(CLASSES);
  const tickets = Object.entries(await redis.hgetall(store.keys.tickets(name)));
  if (tickets.length === 0) return;
  const [[ticket, job_id], is_wrong] = [dice.pick(tickets), dice.chance(0.3)];
  if (!is_wrong) messages[name]?.delete(ticket);
  await store.backlog.redispatch(job_id, name, is_wrong ? `${ticket}0` : ticket);
};

const STEPS_BY_NAME: Record<string, Step> = {
  submit,
  dispatch,
  draw,
  claimOne,
  settle,
  loseMessage,
  cancel: async ({ store, dice, ids }) => void (await store.jobs.cancel(dice.pick(ids))),
  releaseDue: async ({ store }) => void (await store.backlog.releaseDue()),
  drain: async ({ store, redis, dice, claimants }) => {
    const { node } = dice.pick(claimants);
    await (dice.chance(0.4) ? redis.sadd(store.keys.drained, node) : redis.del(store.keys.drained));
  },
  setQuota: async ({ store, redis, dice }) => {
    const group = dice.pick(GROUPS);
    if (dice.chance(0.5)) await redis.hset(store.keys.quotas, group, JSON.stringify(toQuota(dice)));
    else await redis.hdel(store.keys.quotas, group);
  },
  reserve: async ({ store, redis, dice, claimants, ids }) => {
    const key = store.keys.reservation(dice.pick(claimants).engine);
    const left = { centicpus: dice.pick([0, 400]), memory_mb: dice.pick([0, 2_000]), gpus: dice.pick([0, 2]) };
    // Far from the ends of all jobs: what is meant by now must not matter.
    if (dice.chance(0.5)) await redis.hset(key, { job: dice.pick(ids), at: Date.now() + 60_000, ...left });
    else await redis.del(key);
  },
};
const OFTEN = [
  'submit',
  'submit',
  'submit',
  'dispatch',
  'draw',
  'draw',
  'draw',
  'draw',
  'draw',
  'settle',
  'settle',
  'reserve',
];
const NAMES = [...Object.keys(STEPS_BY_NAME), ...OFTEN];

const check = async (world: World): Promise<void> => {
  const { jobs, snapshot } = await look(world);
  const { stored, counted } = await readBoth(world, jobs, snapshot.buckets);
  expect(stored).toEqual(counted);
  expect(findOverbooked(world, jobs)).toEqual([]);
  // Whoever has a ticket has one that is on its way.
  for (const [i, name] of CLASSES.entries()) {
    const lost = Object.keys(stored.classes[i]?.tickets ?? {}).filter((ticket) => !world.messages[name]?.has(ticket));
    expect(lost).toEqual([]);
  }
};

const runSequence = async (seed: number, { store, redis }: TestStore, seen: Set<string>): Promise<void> => {
  const dice = createDice(seed);
  const messages = Object.fromEntries(CLASSES.map((name) => [name, new Set<string>()]));
  const world: World = { store, redis, dice, claimants: createClaimants(dice), ids: [], running: [], messages };
  await redis.hset(store.keys.cluster, { centicpus: 2_000, memory_mb: 10_000, gpus: 8 });
  await redis.hset(store.keys.weights, { bob: 2, carol: 0.5 });
  const told: string[] = [];
  try {
    for (let i = 0; i < STEPS; i++) {
      const name = world.ids.length < 5 ? 'submit' : dice.pick(NAMES);
      told.push(name);
      await STEPS_BY_NAME[name]?.(world, seen);
      await check(world);
    }
  } catch (error) {
    process.stdout.write(`SEED=${seed} repeats it: ${told.join(', ')}\n`);
    throw error;
  }
};

const clean = async ({ redis, prefix }: TestStore): Promise<void> => {
  const keys = await findKeys(redis, `${prefix}:*`);
  if (keys.length > 0) await redis.unlink(...keys);
};

const EXPECTED = [
  ...[
    'draw claimed',
    'draw none',
    'draw gone',
    'GPUs given',
    'slices given',
    'beside a reservation',
    'the reserved one',
  ],
  ...['drained', 'label', 'region', 'datacenter', 'too_small', 'no_room', 'reserved', 'quota'].map(
    (kind) => `constraint ${kind}`,
  ),
];

it('the scripts and the pure pick choose the same job and GPUs, and the counts are those of the records', async () => {
  const open = openTestStore('pick-agrees');
  const only = process.env.SEED;
  const first = only === undefined ? Date.now() % 1_000_000 : Number(only);
  const seen = new Set<string>();
  // What never came about was never compared: where something rare is missing, more sequences follow.
  const missing = () => (only === undefined ? EXPECTED.filter((one) => !seen.has(one)) : []);
  for (let ran = 0; ran === 0 || (only === undefined && ran < SEQUENCES) || missing().length > 0; ran++) {
    await runSequence(first + ran, open, seen);
    await clean(open);
    if (ran > MOST_SEQUENCES) break;
  }
  expect(missing()).toEqual([]);
}, 600_000);
