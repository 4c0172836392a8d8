import { parseArgs } from 'node:util';

export interface SoakOptions {
  minutes: number;
  jobs: number;
  /** Undefined: a new one. */
  seed: number | undefined;
}

export const USAGE = `npm run soak -- [options]
  --minutes <n>  how long jobs are submitted and parts are killed, one every 10 s (default 10, at least 2)
  --jobs <n>     how many jobs in that time (default 100 a minute)
  --seed <n>     the same jobs, kills and cancels as in the run that printed it
BERTH_FAULTS_KEEP=<folder> keeps there what every process said.`;

const toWhole = (name: string, text: string, least: number): number => {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < least) throw new Error(`--${name} must be a whole number from ${least}.`);
  return value;
};

/** Undefined: help was asked for. Throws an Error for people where an option is not one of ours. */
export const parseSoakOptions = (args: string[]): SoakOptions | undefined => {
  const { values } = parseArgs({
    args,
    options: {
      minutes: { type: 'string', default: '10' },
      jobs: { type: 'string' },
      seed: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return undefined;
  const minutes = toWhole('minutes', values.minutes, 2);
  const jobs = values.jobs === undefined ? 100 * minutes : toWhole('jobs', values.jobs, 1);
  const seed = values.seed === undefined ? undefined : toWhole('seed', values.seed, 0);
  return { minutes, jobs, seed };
};
