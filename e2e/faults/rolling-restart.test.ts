import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, expect } from 'vitest';
import { judgeJobs, readLongTale } from '../soak/judge-jobs.js';
import { toLongJob } from '../soak/soak-job.js';
import { type Submissions, submitJob, submitJobs } from '../soak/submit-jobs.js';
import type { Program } from './program.js';
import type { Random } from './random.js';
import { describeFaults, slowIt } from './rows.js';
import { openWorld, type World } from './world.js';

/** The row says ten; `npm run soak` takes as long and kills as often as that asks for. */
const MINUTES = Number(process.env.BERTH_ROLLING_MINUTES ?? 1.5);
const JOBS_PER_MINUTE = 50;
/** How long the last jobs may take to end, once nothing is restarted any more. */
const REST_MS = 180_000;
const LIMIT_MS = MINUTES * 60_000 + REST_MS + 60_000;

const MOST_PAUSE_MS = 4_000;
const LEAST_PAUSE_MS = 1_500;
const SIGNALS = ['SIGTERM', 'SIGKILL'] as const;

const shuffle = <T>(items: readonly T[], random: Random): T[] =>
  items
    .map((item) => ({ item, place: random.next() }))
    .sort((a, b) => a.place - b.place)
    .map(({ item }) => item);

/** One after another, in rounds: each dies of one signal or the other and comes back by itself, until `stop`. */
const restartAll = (programs: Program[], random: Random) => {
  const stopping = new AbortController();
  const counts = { SIGTERM: 0, SIGKILL: 0 };
  const work = async (): Promise<void> => {
    for (;;) {
      for (const program of shuffle(programs, random)) {
        const pause_ms = random.between(LEAST_PAUSE_MS, MOST_PAUSE_MS);
        const signal = random.pick(SIGNALS);
        await delay(pause_ms, undefined, { signal: stopping.signal }).catch(() => undefined);
        if (stopping.signal.aborted) return;
        if (program.alive) counts[signal] += 1;
        program.kill(signal);
      }
    }
  };
  const working = work();
  return {
    async stop() {
      stopping.abort();
      await working;
      return counts;
    },
  };
};

describeFaults('a restart of everything, one after another', () => {
  let world: World;
  beforeAll(async () => {
    if (process.env.BERTH_FAULTS !== 'all') return;
    world = await openWorld({ supervised: true, reapers: true, env: { BERTH_CPUS: '4', BERTH_MEMORY_MB: '4096' } });
  });
  afterAll(() => world?.close());

  slowIt(
    'row 43: again and again under load, workers, APIs, reapers and the broker: every job ends once, and as it would',
    async () => {
      const [forJobs, forRestarts] = [world.random.fork(), world.random.fork()];
      const submissions: Submissions = { jobs: [], repeats: 0, refusals: [] };
      const over_ms = MINUTES * 60_000;
      const long = await submitJob(world, submissions, toLongJob(MINUTES * 60), `long-${world.seed}`);
      if (long === undefined) throw new Error(`the long job was refused: ${submissions.refusals.join()}`);
      const programs = [...world.workers, ...world.apis, ...world.reapers, world.redis.program];
      const restarts = restartAll(programs, forRestarts);
      const count = Math.round(JOBS_PER_MINUTE * MINUTES);
      const { stopWatching } = await submitJobs(world, submissions, { count, over_ms, random: forJobs });
      const counts = await restarts.stop();
      await world.heal();
      const outputs = new Map(submissions.jobs.map(({ job_id, expected }) => [job_id, expected.output?.stdout]));
      const expectedLog = ({ job_id }: { job_id: string }) => {
        const text = outputs.get(job_id);
        return text === undefined ? undefined : Buffer.from(text);
      };
      await world.verify({ limit_ms: REST_MS, expectedLog });
      await stopWatching();
      const verdict = await judgeJobs(world.store, submissions.jobs);
      const said = `${submissions.jobs.length} jobs, ${JSON.stringify(counts)}, ${verdict.adoptions} adoptions`;
      process.stdout.write(`row 43: ${said}, ${verdict.gaps} gaps, ${submissions.repeats} requests sent again\n`);
      expect(submissions.refusals).toEqual([]);
      expect(submissions.jobs).toHaveLength(count + 1);
      expect(verdict).toMatchObject({ wrongEnds: [], wrongLogs: [], unasked: 0 });
      expect(await readLongTale(world.store, long)).toMatchObject({ state: 'completed', epochs: 1, identical: true });
      for (const program of programs) expect(program.starts, program.name).toBeGreaterThan(2);
    },
    LIMIT_MS,
  );
});
