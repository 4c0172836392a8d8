import { sideEffectJob } from '../faults/ledger.js';
import { openWorld, type World } from '../faults/world.js';
import { until } from '../harness.js';
import { openSharedEngine } from '../machine.js';

/**
 * How long a job is without a running container after its machine's only worker was killed, until another machine has started it again.
 * For the benchmark: the last line of the output is JSON, `{ "seconds": […] }`, one a round.
 */
const LIMIT_MS = 90_000;

const waitForStart = async ({ store }: World, job_id: string, epoch: number): Promise<number> =>
  until(
    `epoch ${epoch} of ${job_id}`,
    async () => {
      const history = await store.jobs.readHistory(job_id);
      return history.find(({ type, data }) => type === 'started' && data.epoch === epoch)?.at;
    },
    LIMIT_MS,
  );

const runRound = async (world: World): Promise<number> => {
  const spec = sideEffectJob('while :; do echo still here; sleep 1; done', { stop_grace_seconds: 0 });
  const { job_id } = await world.submit(spec);
  await waitForStart(world, job_id, 1);
  const owner = await world.ownerOf(job_id);
  const killed_at = Date.now();
  await owner.end();
  const started_at = await waitForStart(world, job_id, 2);
  await world.request('POST', `/v1/jobs/${job_id}/cancel`);
  await world.wait(job_id);
  await world.heal();
  return (started_at - killed_at) / 1_000;
};

const rounds = Number(process.argv[2] ?? 1);
const closeEngine = await openSharedEngine();
const world = await openWorld({ engines: 2, apis: 1, workers: 2, reapers: true });
try {
  const seconds: number[] = [];
  for (let round = 0; round < rounds; round += 1) seconds.push(await runRound(world));
  await world.verify();
  process.stdout.write(`${JSON.stringify({ seconds })}\n`);
} finally {
  await world.close();
  await closeEngine();
}
