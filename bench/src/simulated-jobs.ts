import {
  DEFAULT_CLASSES,
  findClass,
  type MachineView,
  NO_RESOURCES,
  type Resources,
  type Shape,
  toShapeText,
} from '@berth/domain';

/** A job of a simulated workload. Times are in virtual milliseconds from its beginning. */
export interface SimulatedJob {
  job_id: string;
  user: string;
  class: string;
  shape: Shape;
  /** Equal shapes have equal texts. */
  text: string;
  submitted_at: number;
  /** What nobody knows before it has ended, but the offline plan. */
  lasts_ms: number;
}

export interface Workload {
  jobs: SimulatedJob[];
  machines: MachineView[];
}

export interface Mix {
  name: string;
  /** Of how many jobs in a hundred each class has the sizes. */
  parts: Record<'small' | 'medium' | 'large' | 'gpu', number>;
  /** Seconds that half of the jobs last less than, how widely they differ (the deviation of the logarithm), and the longest. */
  lasts: { median: number; spread: number; most: number };
  /** Of each machine. */
  cpus: number;
  /** Over how many seconds they are submitted. 0: as fast as they are accepted, a millisecond apart. */
  arrive_within: number;
}

const JOBS = 2_000;
const MACHINES = 20;
const USERS = 10;
/** One machine in five. */
const GPUS = 4;
const MEMORY_MB_A_CPU = 4_096;
const SIZES: Record<keyof Mix['parts'], { cpus: number[]; memory_mb: number[]; gpus: number[] }> = {
  small: { cpus: [50, 100], memory_mb: [256, 512, 1_024], gpus: [0] },
  medium: { cpus: [200, 400], memory_mb: [2_048, 4_096, 8_192], gpus: [0] },
  large: { cpus: [800, 1_600], memory_mb: [16_384, 32_768], gpus: [0] },
  gpu: { cpus: [200, 400], memory_mb: [8_192, 16_384], gpus: [1, 2, 4] },
};
/** As people do: the default, or a round number well above what it takes. */
const TIMEOUTS_SECONDS = [600, 1_800, 3_600, 7_200];

/** The same numbers for the same seed (mulberry32), each from 0 to below 1. */
const createRandom = (seed: number): (() => number) => {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
};

const toNormal = (random: () => number): number =>
  Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());

const choose = <T>(from: readonly T[], random: () => number): T => from[Math.floor(random() * from.length)] as T;

const toPart = (parts: Mix['parts'], random: () => number): keyof Mix['parts'] => {
  let left = random() * 100;
  for (const [name, share] of Object.entries(parts)) {
    left -= share;
    if (left < 0) return name as keyof Mix['parts'];
  }
  return 'small';
};

const toJobShape = (part: keyof Mix['parts'], seconds: number, random: () => number): Shape => {
  const size = SIZES[part];
  const [centicpus, memory_mb, gpus] = [size.cpus, size.memory_mb, size.gpus].map((all) => choose(all, random));
  const ask: Resources = { centicpus: centicpus ?? 0, memory_mb: memory_mb ?? 0, gpus: gpus ?? 0 };
  const long_enough = TIMEOUTS_SECONDS.filter((one) => one >= seconds);
  return {
    ask,
    timeout_seconds: choose(long_enough, random),
    ...(ask.gpus > 0 ? { gpus: { count: ask.gpus, type: 'any' } } : {}),
  };
};

const toJob = (mix: Mix, index: number, random: () => number): SimulatedJob => {
  const { median, spread, most } = mix.lasts;
  const seconds = Math.min(most, Math.max(5, median * Math.exp(spread * toNormal(random))));
  const shape = toJobShape(toPart(mix.parts, random), seconds, random);
  const found = findClass(DEFAULT_CLASSES, shape.ask);
  if (!found) throw new Error('a simulated job is too large for every class');
  return {
    job_id: `job-${String(index).padStart(4, '0')}`,
    // Half of the users submit most of the jobs.
    user: `user-${Math.floor(USERS * random() ** 2)}`,
    class: found.name,
    shape,
    text: toShapeText(shape),
    // No two at the same time: their order would be that of the texts of their shapes, and that is luck.
    submitted_at: Math.floor(Math.max(1, (mix.arrive_within * 1_000) / JOBS) * index),
    lasts_ms: Math.round(seconds * 1_000),
  };
};

const toMachine = (index: number, { cpus }: Mix): MachineView => {
  const name = `machine-${index}`;
  const gpus = Array.from({ length: index % 5 === 0 ? GPUS : 0 }, (_, i) => ({
    ...{ index: i, uuid: `GPU-${index}-${i}`, name: 'NVIDIA L4', memory_mb: 24_000 },
  }));
  return {
    ...{ node: name, engine: name, labels: {}, region: 'default', datacenter: 'default', drained: false },
    ...{
      capacity: { centicpus: cpus * 100, memory_mb: cpus * MEMORY_MB_A_CPU, gpus: gpus.length },
      gpus,
      reserved: NO_RESOURCES,
      gpu_holds: [],
    },
  };
};

/** The same workload for the same seed. */
export const createWorkload = (mix: Mix, seed: number): Workload => {
  const random = createRandom(seed);
  return {
    jobs: Array.from({ length: JOBS }, (_, index) => toJob(mix, index, random)),
    machines: Array.from({ length: MACHINES }, (_, index) => toMachine(index, mix)),
  };
};
