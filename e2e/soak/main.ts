import { loadavg } from 'node:os';
import { createRandom } from '../faults/random.js';
import { openWorld, type World } from '../faults/world.js';
import { openSharedEngine } from '../machine.js';
import { judgeJobs, readLongTale } from './judge-jobs.js';
import { EVERY_MS, type Kills, killParts } from './kill-parts.js';
import { parseSoakOptions, type SoakOptions, USAGE } from './options.js';
import { toLongJob } from './soak-job.js';
import { type Submissions, submitJob, submitJobs } from './submit-jobs.js';
import { isKept, type Soaked, toSummary } from './summary.js';

const LONGEST_SECONDS = 300;
/** Of a short soak: so much of its time, which is enough for three kills of its owner. */
const LONG_SHARE = 0.6;
/** How long the last jobs may take to end, once nothing is broken any more. */
const REST_MS = 240_000;
/** More than four jobs at a time: most of them only wait. */
const CAPACITY = { BERTH_CPUS: '4', BERTH_MEMORY_MB: '4096' };

const begun = Date.now();
const say = (text: string): void =>
  void process.stdout.write(`${String(Math.round((Date.now() - begun) / 1000)).padStart(4)} s  ${text}\n`);

const STATES = ['pending', 'running', 'completed', 'failed', 'cancelled'] as const;

/** The broker may be away just now: then it is said so. */
const tell = async ({ store }: World, submissions: Submissions): Promise<void> => {
  const counts = await store.list.countByState(STATES).catch(() => undefined);
  const states = counts === undefined ? 'no broker' : STATES.map((state) => `${counts[state]} ${state}`).join(', ');
  say(`${submissions.jobs.length} accepted: ${states}; ${submissions.repeats} sent again`);
};

const soak = async (world: World, { minutes, jobs: count }: SoakOptions): Promise<Soaked> => {
  const random = createRandom(world.seed);
  const [forJobs, forKills] = [random.fork(), random.fork()];
  const submissions: Submissions = { jobs: [], repeats: 0, refusals: [] };
  const kills: Kills = { worker: 0, api: 0, redis: 0, owners: 0 };
  const over_ms = minutes * 60_000;
  const long_seconds = Math.min(LONGEST_SECONDS, Math.round(minutes * 60 * LONG_SHARE));
  const long = await submitJob(world, submissions, toLongJob(long_seconds), `soak-${world.seed}-long`);
  if (long === undefined) throw new Error(`the long job was refused: ${submissions.refusals.join()}`);
  const killer = killParts(
    { world, random: forKills, long_id: long.job_id, long_ms: long_seconds * 1_000 },
    kills,
    say,
  );
  const telling = setInterval(() => void tell(world, submissions), EVERY_MS);
  const { stopWatching } = await submitJobs(world, submissions, { count: count - 1, over_ms, random: forJobs });
  await killer.stop();
  say('no more jobs and no more kills; waiting for the last ones to end');
  await world.heal();
  const outputs = new Map(submissions.jobs.map(({ job_id, expected }) => [job_id, expected.output?.stdout]));
  const report = await world.check({
    limit_ms: REST_MS,
    expectedLog: ({ job_id }) =>
      outputs.get(job_id) === undefined ? undefined : Buffer.from(outputs.get(job_id) ?? ''),
  });
  await stopWatching();
  clearInterval(telling);
  const verdict = await judgeJobs(world.store, submissions.jobs);
  return {
    ...{ submissions, wanted: count, kills, verdict, report, minutes },
    long: await readLongTale(world.store, long),
  };
};

const run = async (options: SoakOptions): Promise<boolean> => {
  const closeEngine = await openSharedEngine();
  const seed = options.seed === undefined ? {} : { seed: options.seed };
  const world = await openWorld({ supervised: true, reapers: true, env: CAPACITY, ...seed });
  try {
    say(
      `${options.minutes} minutes, ${options.jobs} jobs, SEED=${world.seed}, load average ${loadavg()[0]?.toFixed(2)}`,
    );
    const soaked = await soak(world, options);
    process.stdout.write(`${toSummary(soaked)}\nSEED=${world.seed}, load average ${loadavg()[0]?.toFixed(2)}\n`);
    return isKept(soaked);
  } finally {
    await world.close();
    await closeEngine();
  }
};

const options = parseSoakOptions(process.argv.slice(2));
if (options === undefined) process.stdout.write(`${USAGE}\n`);
else process.exitCode = (await run(options)) ? 0 : 1;
