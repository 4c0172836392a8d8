import type { Figure, Section } from './figure.js';
import { findLowerBound, planBlind, planOffline } from './offline-fit.js';
import { runWorkload } from './simulated-cluster.js';
import { createWorkload, type Mix } from './simulated-jobs.js';
import { median } from './statistics.js';

const SEEDS = [1, 2, 3];

const PARTS = { small: 60, medium: 28, large: 10, gpu: 2 };
const LASTS = { median: 180, spread: 0.8, most: 1_800 };

const MIXES: Mix[] = [
  { name: 'all at once', parts: PARTS, lasts: LASTS, cpus: 16, arrive_within: 0 },
  { name: 'alike durations', parts: PARTS, lasts: { median: 180, spread: 0.2, most: 600 }, cpus: 16, arrive_within: 0 },
  { name: 'many waves', parts: { small: 70, medium: 30, large: 0, gpu: 0 }, lasts: LASTS, cpus: 4, arrive_within: 0 },
  { name: 'over two hours', parts: PARTS, lasts: LASTS, cpus: 16, arrive_within: 7_200 },
];

const measureMix = (mix: Mix): Figure => {
  const runs = SEEDS.map((seed) => {
    const workload = createWorkload(mix, seed);
    const [ours, offline] = [runWorkload(workload), planOffline(workload)];
    const [blind, bound] = [offline / planBlind(workload), findLowerBound(workload) / offline];
    return { ratio: offline / ours, ours, blind, bound };
  });
  const ratios = runs.map(({ ratio }) => ratio);
  const of = (read: (run: (typeof runs)[number]) => number): number => median(runs.map(read));
  return {
    name: `makespan, offline plan / ours, ${mix.name}`,
    value: median(ratios),
    unit: '×',
    target: { at_least: 0.95 },
    rounds: ratios,
    note:
      `ours ${(of(({ ours }) => ours) / 60_000).toFixed(0)} min; offline plan / best fit that knows no durations, on one machine as large as all ` +
      `${of(({ blind }) => blind).toFixed(2)}; lower bound / offline plan ${of(({ bound }) => bound).toFixed(2)}`,
  };
};

/** How well the decisions fill machines: simulated jobs on simulated machines, in virtual time. */
export const benchUtilisation = async (): Promise<Section> => ({
  title: 'utilisation',
  setting: `2,000 jobs of 10 users in the default classes on 20 machines of 16 CPUs (many waves: 4), 4 of them with 4 GPUs; the pure pick and planner; the median of ${SEEDS.length} seeds`,
  figures: MIXES.map(measureMix),
});
