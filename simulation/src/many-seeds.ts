import { addCoverage, type Coverage } from './coverage.js';
import type { Mutation } from './mutations.js';
import { type Run, simulate } from './simulate.js';

/** Seeds one after the other from `first` on. */
export interface Seeds {
  first: number;
  count: number;
  mutation?: Mutation | undefined;
}

export interface Searched {
  seeds: number;
  coverage: Coverage;
  /** The first run in which something does not hold. */
  failed: Run | undefined;
}

/** Runs seeds until one fails. */
export const searchSeeds = ({ first, count, mutation }: Seeds): Searched => {
  const coverage: Coverage = new Map();
  for (let i = 0; i < count; i++) {
    const run = simulate(first + i, { mutation, coverage });
    if (run.violations.length > 0) return { seeds: i + 1, coverage, failed: run };
  }
  return { seeds: count, coverage, failed: undefined };
};

export const mergeSearched = (into: Searched, part: Searched): Searched => {
  addCoverage(into.coverage, part.coverage);
  return { seeds: into.seeds + part.seeds, coverage: into.coverage, failed: into.failed ?? part.failed };
};

/** The same seed again, with everything that happened in it, line by line. */
export const toReplay = (seed: number, mutation?: Mutation): string => {
  const { trace, violations } = simulate(seed, { mutation, trace: true });
  const broken = violations.map(({ invariant, detail }) => `${invariant}: ${detail}`);
  return [...trace, '', `seed ${seed}: ${broken.length === 0 ? 'everything holds' : broken.join('; ')}`].join('\n');
};
