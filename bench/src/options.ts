import { parseArgs } from 'node:util';

export const BENCHMARKS = [
  'containers',
  'latency',
  'submit',
  'memory',
  'shapes',
  'scheduling',
  'utilisation',
  'trust',
  'files',
  'logs',
  'history',
] as const;
export type Benchmark = (typeof BENCHMARKS)[number];

export interface Options {
  only: Benchmark[];
  rounds: number;
  ociRuntime: string | undefined;
  cpuGroup: string | undefined;
  soak: boolean;
  /** The largest backlog of the scheduling benchmark. */
  pending: number;
  help: boolean;
}

export const USAGE = `npm run bench -- [options]
  --only <names>    of ${BENCHMARKS.join(', ')}; with commas between
  --rounds <n>      interleaved rounds, at least 5 for figures to quote (default 5)
  --runtime <name>  crun or runc for Berth's containers, in place of what the worker would choose
  --cpu-group <dir> containers: count the CPU of this control group, with the engine in it, in place of the whole machine's
  --soak            memory: 10,000 real containers instead of the fake runtime (takes ten minutes or more)
  --pending <n>     scheduling: the largest backlog (default 1000000: three gigabytes and some ten minutes)

The benchmark files needs 5 GiB of disk in the folder for temporary files (TMPDIR).`;

const isBenchmark = (name: string): name is Benchmark => (BENCHMARKS as readonly string[]).includes(name);

/** Throws an Error for people where an option is not one of ours. */
export const parseOptions = (args: string[]): Options => {
  const { values } = parseArgs({
    args,
    options: {
      only: { type: 'string' },
      rounds: { type: 'string', default: '5' },
      runtime: { type: 'string' },
      'cpu-group': { type: 'string' },
      soak: { type: 'boolean', default: false },
      pending: { type: 'string', default: '1000000' },
      help: { type: 'boolean', default: false },
    },
  });
  const only = values.only?.split(',') ?? [...BENCHMARKS];
  const unknown = only.filter((name) => !isBenchmark(name));
  if (unknown.length > 0) throw new Error(`There is no benchmark ${unknown.join(', ')}.`);
  const rounds = Number(values.rounds);
  if (!Number.isInteger(rounds) || rounds < 1) throw new Error('--rounds must be a whole number above 0.');
  const pending = Number(values.pending);
  if (!Number.isInteger(pending) || pending < 1_000) throw new Error('--pending must be a whole number from 1000.');
  return {
    only: only.filter(isBenchmark),
    rounds,
    ociRuntime: values.runtime,
    cpuGroup: values['cpu-group'],
    soak: values.soak,
    pending,
    help: values.help,
  };
};
