import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { findUnseen } from './coverage.js';
import { searchOnThreads } from './farm.js';
import { toReplay } from './many-seeds.js';
import { MUTATIONS, type Mutation } from './mutations.js';

const PROGRESS_MS = 10_000;
/** Fewer seeds than this need not have seen everything. */
const ENOUGH_TO_SEE_ALL = 10_000;

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '1000000' },
    first: { type: 'string', default: '1' },
    seed: { type: 'string' },
    trace: { type: 'boolean', default: false },
    mutation: { type: 'string' },
    threads: { type: 'string', default: String(availableParallelism()) },
    quiet: { type: 'boolean', default: false },
  },
});

const say = (line: string): boolean => process.stdout.write(`${line}\n`);

const parseMutation = (name: string | undefined): Mutation | undefined => {
  if (name === undefined || name in MUTATIONS) return name as Mutation | undefined;
  throw new Error(`There is no mutation ${name}. There are: ${Object.keys(MUTATIONS).join(', ')}.`);
};

const replay = (seed: number, mutation: Mutation | undefined): number => {
  const text = toReplay(seed, mutation);
  say(values.trace ? text : (text.split('\n').at(-1) ?? ''));
  return text.endsWith('everything holds') ? 0 : 1;
};

const search = async (count: number, mutation: Mutation | undefined): Promise<number> => {
  const first = values.first === 'random' ? Date.now() * 1_000 : Number(values.first);
  const began = performance.now();
  const toRate = (done: number): string => `${Math.round((done * 1_000) / (performance.now() - began))} seeds/s`;
  let told = began;
  say(`Simulating ${count} seeds from ${first} on ${values.threads} threads.`);
  const onProgress = (done: number): void => {
    if (values.quiet || performance.now() - told < PROGRESS_MS) return;
    told = performance.now();
    say(`${done} seeds, ${toRate(done)}`);
  };
  const found = await searchOnThreads({ first, count, mutation, threads: Number(values.threads), onProgress });
  const sorted = [...found.coverage].sort(([a], [b]) => a.localeCompare(b));
  if (!values.quiet) for (const [what, times] of sorted) say(`${String(times).padStart(10)}  ${what}`);
  say(`${found.seeds} seeds in ${((performance.now() - began) / 1_000).toFixed(1)} s, ${toRate(found.seeds)}`);
  if (found.failed) {
    say(toReplay(found.failed.seed, mutation));
    say(`Repeat it with: npm run test:simulate -- --seed ${found.failed.seed} --trace`);
    return 1;
  }
  const unseen = count >= ENOUGH_TO_SEE_ALL ? findUnseen(found.coverage) : [];
  if (unseen.length > 0) say(`These never happened, so nothing was checked of them: ${unseen.join('; ')}`);
  return unseen.length > 0 ? 1 : 0;
};

const mutation = parseMutation(values.mutation);
const seed = values.seed === undefined ? undefined : Number(values.seed);
process.exitCode = seed === undefined ? await search(Number(values.seeds), mutation) : replay(seed, mutation);
