/** Random numbers that come again from the same seed (mulberry32). */
export interface Random {
  readonly seed: number;
  /** In [0, 1). */
  next(): number;
  /** A whole number from `low` to `high`, both included. */
  between(low: number, high: number): number;
  pick<T>(items: readonly T[]): T;
  /** A generator of its own, so that what one part draws does not change what another gets. */
  fork(): Random;
}

/** `SEED` replays a run. The seed is printed, so that a failure can be. */
export const chooseSeed = (): number => {
  const seed = process.env.SEED ? Number(process.env.SEED) : Math.floor(Math.random() * 2 ** 31);
  if (!Number.isSafeInteger(seed)) throw new Error('SEED must be a whole number');
  process.stdout.write(`SEED=${seed}\n`);
  return seed;
};

export const createRandom = (seed: number): Random => {
  let state = seed >>> 0;
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  const between = (low: number, high: number): number => low + Math.floor(next() * (high - low + 1));
  return {
    seed,
    next,
    between,
    pick: (items) => items[between(0, items.length - 1)] as (typeof items)[number],
    fork: () => createRandom(between(0, 2 ** 31 - 1)),
  };
};
