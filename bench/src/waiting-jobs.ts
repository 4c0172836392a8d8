import { availableParallelism } from 'node:os';
import { DEFAULT_CLASSES, findClass, type JobSpec, jobSpecSchema, toAsk } from '@berth/domain';
import type { NewJob, Store } from '@berth/store';
import { runLanes } from './lanes.js';
import { typicalSpec } from './typical-job.js';

export const USERS = 50;
const CPUS = [1, 2, 3, 4];
const MEMORIES_MB = [1_536, 2_048, 4_096, 6_144, 8_192];
/** All of them sort into one class, so that one pick has all of them to choose from. */
export const SHAPES = CPUS.length * MEMORIES_MB.length;
export const CLASS = 'medium';
/** What the smallest of the shapes asks for, and less than any does. */
export const SMALLEST = { centicpus: 100, memory_mb: 1_536, gpus: 0 };
export const TOO_LITTLE = { centicpus: 50, memory_mb: 65_536, gpus: 0 };

const toSpec = (cpus: number, memory_mb: number): JobSpec => {
  const spec = jobSpecSchema.parse({ ...typicalSpec, cpus, memory_mb });
  return { ...spec, image: typicalSpec.image };
};

const specs = CPUS.flatMap((cpus) => MEMORIES_MB.map((memory_mb) => toSpec(cpus, memory_mb)));

/** Such a job as a client sends it. */
export const waitingSpec = { ...typicalSpec, cpus: 2, memory_mb: 2_048 };

/** Any `USERS * SHAPES` of them that follow each other have one of each user and shape. */
const toWaitingJob = (index: number): NewJob => {
  const turn = Math.floor(index / USERS);
  // The smallest shape is not everybody's oldest.
  const spec = specs[(turn + (index % USERS) * 7) % SHAPES] as JobSpec;
  const user = `user-${index % USERS}`;
  return { spec, class: findClass(DEFAULT_CLASSES, toAsk(spec))?.name ?? CLASS, ask: toAsk(spec), user };
};

const LANES = 64 * availableParallelism();

/** Submits so many jobs of many users and shapes by the same script as the API. */
export const addWaitingJobs = (store: Store, count: number): Promise<void> =>
  runLanes(count, LANES, async (index) => {
    await store.jobs.accept(toWaitingJob(index));
  });

/** The same jobs, of the one user of an installation without keys. */
export const addLocalJobs = (store: Store, count: number): Promise<void> =>
  runLanes(count, LANES, async () => {
    const [spec] = specs as [JobSpec];
    await store.jobs.accept({ spec, class: CLASS, ask: toAsk(spec) });
  });
