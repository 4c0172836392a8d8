import { type Ending, type Head, NO_USE, type Reservation, toShape } from '@berth/domain';
import type { Redis } from 'ioredis';
import type { Keys } from './keys.js';
import type { Scripts } from './scripts.js';
import { toSpec } from './spec-text.js';
import { run } from './worker-registry.js';

/** A reservation that nobody renews is gone after so long: no machine stays idle for a plan whose makers are gone. */
const KEPT_SECONDS = 10;
/** How many shapes and jobs of a class a plan looks at. */
const SHAPES = 200;
const HEADS = 8;
/** How long a claimed job may take until its container runs: its image is pulled meanwhile. */
const START_MS = 60_000;

const HEAD_FIELDS = 7;

const toHead = ([
  className = '',
  job_id = '',
  bucket = '',
  shape = '',
  priority,
  created_at,
  rank,
]: string[]): Head => ({
  job_id,
  class: className,
  bucket,
  shape: toShape(shape),
  priority: Number(priority),
  created_at: Number(created_at),
  rank: rank === '-inf' ? NO_USE : Number(rank),
});

const ENDING_FIELDS = ['shape', 'gpu_uuids', 'spec', 'started_at', 'claimed_at'] as const;

type Field = string | null;

const toEnding = ([id, text, uuids, spec, started_at, claimed_at]: Field[]): Ending => {
  const job_id = id ?? '';
  const shape = toShape(text ?? '');
  const { stop_grace_seconds } = toSpec(spec ?? '{}');
  const begins_at = started_at ? Number(started_at) : Number(claimed_at) + START_MS;
  const memory_mb = shape.gpus?.memory_mb ?? null;
  const gpu_holds = (uuids ?? '').split(',').flatMap((uuid) => (uuid === '' ? [] : [{ job_id, uuid, memory_mb }]));
  return {
    job_id,
    ask: shape.ask,
    gpu_holds,
    ends_at: begins_at + (shape.timeout_seconds + stop_grace_seconds) * 1000,
  };
};

const ENDING_WIDTH = 1 + ENDING_FIELDS.length;

const toEndings = (flat: Field[]): Ending[] =>
  Array.from({ length: flat.length / ENDING_WIDTH }, (_, i) =>
    toEnding(flat.slice(i * ENDING_WIDTH, (i + 1) * ENDING_WIDTH)),
  ).sort((a, b) => (a.job_id < b.job_id ? -1 : 1));

/** As it stands in its hash; undefined where there is none. */
export const toReservation = (fields: Record<string, string>): Reservation | undefined =>
  fields.job === undefined
    ? undefined
    : {
        job_id: fields.job,
        at: Number(fields.at),
        left: {
          centicpus: Number(fields.centicpus),
          memory_mb: Number(fields.memory_mb),
          gpus: Number(fields.gpus),
        },
      };

/** What a plan of reservations is made from, and where it is put. `claim.lua` keeps to it. */
export const createReservations = (redis: Redis, keys: Keys, scripts: Scripts) => ({
  /** For each class, the first jobs in the order of the pick that no quota holds back; and the broker's time (Unix ms). */
  async readHeads(classes: string[]): Promise<{ at: number; heads: Head[][] }> {
    const [[seconds, microseconds], flat] = await Promise.all([
      redis.time() as unknown as Promise<[string, string]>,
      scripts.run('heads', SHAPES, HEADS, ...classes) as Promise<string[]>,
    ]);
    const all: Head[] = [];
    for (let i = 0; i < flat.length; i += HEAD_FIELDS) all.push(toHead(flat.slice(i, i + HEAD_FIELDS)));
    return {
      at: Number(seconds) * 1_000 + Math.floor(Number(microseconds) / 1_000),
      heads: classes.map((name) => all.filter((head) => head.class === name)),
    };
  },

  /** In the order of the engines. */
  async read(engines: string[]): Promise<(Reservation | undefined)[]> {
    const pipeline = redis.pipeline();
    for (const engine of engines) pipeline.hgetall(keys.reservation(engine));
    return ((await run(pipeline)) as Record<string, string>[]).map(toReservation);
  },

  /** Of each engine, when the jobs that run there have ended at the latest, in the order of their ids. One call an engine, however many run. */
  async readEndings(engines: string[]): Promise<Ending[][]> {
    const pipeline = redis.pipeline();
    const fields = ENDING_FIELDS.flatMap((field) => ['GET', `${keys.job('*')}->${field}`]);
    for (const engine of engines) pipeline.sort(keys.runningOn(engine), 'BY', 'nosort', 'GET', '#', ...fields);
    return ((await run(pipeline)) as Field[][]).map(toEndings);
  },

  /**
   * Keeps an engine free for a job for the next seconds. False where other jobs run there by now than those that the plan was made with, or
   * the job waits no more: then the plan has to be made anew.
   */
  async reserve(engine: string, { job_id, at, left }: Reservation, running_jobs: string[]): Promise<boolean> {
    const room = [left.centicpus, left.memory_mb, left.gpus];
    const running = [...running_jobs].sort().join(' ');
    return (await scripts.run('reserve', engine, job_id, at, ...room, KEPT_SECONDS, running)) === 'reserved';
  },

  /** Where the engine is still kept for that job. */
  async giveUp(engine: string, job_id: string): Promise<void> {
    await scripts.run('reserve', engine, job_id, '');
  },
});

export type Reservations = ReturnType<typeof createReservations>;
