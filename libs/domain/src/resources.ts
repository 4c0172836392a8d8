/**
 * A resource vector. CPUs are counted in hundredths (`centicpus`), so that 0.1 + 0.2 is 0.3 and a ledger never drifts.
 */
export interface Resources {
  centicpus: number;
  memory_mb: number;
  gpus: number;
}

export const NO_RESOURCES: Resources = { centicpus: 0, memory_mb: 0, gpus: 0 };

/** The smallest job there is. The engine refuses less than 6 MB of memory. */
export const LEAST_ASK: Resources = { centicpus: 1, memory_mb: 6, gpus: 0 };

export const fits = (ask: Resources, room: Resources): boolean =>
  ask.centicpus <= room.centicpus && ask.memory_mb <= room.memory_mb && ask.gpus <= room.gpus;

export const plus = (a: Resources, b: Resources): Resources => ({
  centicpus: a.centicpus + b.centicpus,
  memory_mb: a.memory_mb + b.memory_mb,
  gpus: a.gpus + b.gpus,
});

export const minus = (a: Resources, b: Resources): Resources => ({
  centicpus: a.centicpus - b.centicpus,
  memory_mb: a.memory_mb - b.memory_mb,
  gpus: a.gpus - b.gpus,
});

/** The larger vector that both hold: the component-wise minimum. */
export const clip = (a: Resources, b: Resources): Resources => ({
  centicpus: Math.min(a.centicpus, b.centicpus),
  memory_mb: Math.min(a.memory_mb, b.memory_mb),
  gpus: Math.min(a.gpus, b.gpus),
});

/** CPUs as users write them (0.01 steps) to hundredths. */
export const toCenticpus = (cpus: number): number => Math.round(cpus * 100);
