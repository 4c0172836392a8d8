import { freemem } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { createStore } from '@berth/store';
import type { Bench } from './bench.js';
import { type Api, openApi } from './berth.js';
import type { OwnBroker } from './broker.js';
import { measureExplain } from './explain-time.js';
import type { Figure, Section } from './figure.js';
import { openLoadGenerator } from './load.js';
import { type Backlog, measurePicks, type PickTimes, ROOMS, type Room } from './pick-time.js';
import { toCount, toPickFigures, toSubmitFigures } from './scheduling-figures.js';
import { runRounds } from './statistics.js';
import { measureSubmits } from './submit-at-depth.js';
import { addLocalJobs, addWaitingJobs, SHAPES, USERS } from './waiting-jobs.js';

const SIZES = [1_000, 10_000, 100_000, 1_000_000];
const EXPLAINED = 10_000;
const LOCAL_JOBS = 10_000;
/** With what is written while Redis is copied to its file. */
const BYTES_A_JOB = 3_000;
const DRAWS: Record<Room, number> = { any: 300, smallest: 300, none: 40 };

const readUsed = async ({ redis }: OwnBroker): Promise<number> =>
  Number(/used_memory:(\d+)/.exec(await redis.info('memory'))?.[1]);

/** A line of what goes on: filling takes minutes. */
const say = (line: string): void => console.log(`  ${line}`);

/** Of each size one backlog under a prefix of its own, in one Redis. Its file is written only afterwards, in one go. */
const fill = async (broker: OwnBroker, sizes: number[]): Promise<{ backlogs: Backlog[]; figures: Figure[] }> => {
  await broker.redis.config('SET', 'appendonly', 'no');
  const backlogs: Backlog[] = [];
  let bytes = Number.NaN;
  for (const pending of sizes) {
    const store = createStore(broker.redis, `bench-${pending}`);
    const [before, began] = [await readUsed(broker), performance.now()];
    await addWaitingJobs(store, pending);
    bytes = ((await readUsed(broker)) - before) / pending;
    say(`${toCount(pending)} jobs submitted in ${((performance.now() - began) / 1000).toFixed(0)} s`);
    backlogs.push({ pending, store });
  }
  const note = `used_memory before and after ${toCount(sizes.at(-1) ?? 0)} jobs, by script, no BullMQ`;
  return {
    backlogs,
    figures: [{ name: 'Redis, a pending job of one of many users', value: bytes, unit: 'bytes', note }],
  };
};

const measureLocalJobs = async (broker: OwnBroker): Promise<Figure> => {
  const store = createStore(broker.redis, 'bench-local');
  await addLocalJobs(store, 1);
  const before = await readUsed(broker);
  await addLocalJobs(store, LOCAL_JOBS);
  const value = ((await readUsed(broker)) - before) / LOCAL_JOBS;
  const note = `the same, ${toCount(LOCAL_JOBS)} jobs`;
  return { name: 'Redis, a pending job of the local user', value, unit: 'bytes', target: { at_most: 1_600 }, note };
};

const benchPicks = async ({ broker, rounds }: Bench, backlogs: Backlog[]): Promise<Figure[]> => {
  for (const { store } of backlogs)
    await store.shares.setCluster({ centicpus: 128_000, memory_mb: 5_242_880, gpus: 0 });
  const figures: Figure[] = [];
  for (const room of Object.keys(ROOMS) as Room[]) {
    await measurePicks(broker.redis, backlogs, { room, draws: 20 });
    const runs: PickTimes[][] = [];
    for (let i = 0; i < rounds; i += 1)
      runs.push(await measurePicks(broker.redis, backlogs, { room, draws: DRAWS[room] }));
    figures.push(...toPickFigures(backlogs, room, runs));
  }
  return figures;
};

/** From here on every write is on disk again before it is acknowledged. */
const turnFileOn = async ({ redis }: OwnBroker): Promise<void> => {
  await redis.config('SET', 'appendonly', 'yes');
  for (;;) {
    await sleep(200);
    if (/aof_rewrite_in_progress:0/.test(await redis.info('persistence'))) return;
  }
};

const openApiOn = ({ broker, folder }: Bench, { pending }: Backlog): Promise<Api> =>
  openApi({ folder, env: { REDIS_URL: broker.url, BERTH_PREFIX: `bench-${pending}` } });

const benchSubmits = async (bench: Bench, backlogs: Backlog[]): Promise<Figure[]> => {
  const [first, last] = [backlogs[0], backlogs.at(-1)];
  if (!first || !last || first === last) return [];
  const { redis } = bench.broker;
  const apis = [await openApiOn(bench, first), await openApiOn(bench, last)] as const;
  const load = openLoadGenerator();
  try {
    const variants = {
      few: () => measureSubmits(redis, { api: apis[0], store: first.store, load }),
      many: () => measureSubmits(redis, { api: apis[1], store: last.store, load }),
    };
    await runRounds(variants, 1);
    const { few, many } = await runRounds(variants, bench.rounds);
    return toSubmitFigures(few, many, [toCount(first.pending), toCount(last.pending)]);
  } finally {
    load.close();
    for (const api of apis) await api.stop();
  }
};

const benchExplain = async (bench: Bench, backlogs: Backlog[]): Promise<Figure[]> => {
  const backlog = backlogs.find(({ pending }) => pending === EXPLAINED);
  if (!backlog) return [];
  const api = await openApiOn(bench, backlog);
  try {
    const { redis, pid } = bench.broker;
    return await measureExplain({ redis, store: backlog.store, port: api.port, pids: [api.pid, pid] });
  } finally {
    await api.stop();
  }
};

/** Which sizes are asked for, and of these the ones that there is memory for. */
const chooseSizes = (most: number): { sizes: number[]; skipped: Figure[] } => {
  const asked = SIZES.filter((size) => size <= most);
  const sizes = asked.filter((size) => size * BYTES_A_JOB < freemem());
  const skipped = asked
    .filter((size) => !sizes.includes(size))
    .map((size) => ({
      name: `${toCount(size)} pending`,
      value: Number.NaN,
      unit: '',
      note: 'skipped: too little memory',
    }));
  return { sizes, skipped };
};

/** How the cost of a decision, of a submission and of an explanation grows with what waits. */
export const benchScheduling = async (bench: Bench): Promise<Section> => {
  const { broker } = bench;
  await broker.clear();
  const { sizes, skipped } = chooseSizes(bench.pending);
  const { backlogs, figures } = await fill(broker, sizes);
  figures.push(await measureLocalJobs(broker));
  const picks = await benchPicks(bench, backlogs);
  await turnFileOn(broker);
  const submits = await benchSubmits(bench, backlogs);
  const explained = await benchExplain(bench, backlogs);
  await broker.clear();
  return {
    title: 'scheduling',
    setting:
      `${toCount(USERS)} users with ${SHAPES} shapes each, in one class; the script's time as the server counts it, sizes in turn, draw by draw; ` +
      `submissions at 32 connections, AOF always; ${bench.rounds} rounds`,
    figures: [...picks, ...submits, ...figures, ...explained, ...skipped],
  };
};
