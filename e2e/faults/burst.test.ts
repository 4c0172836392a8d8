import { appendFileSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { until } from '../harness.js';
import { sideEffectJob } from './ledger.js';
import { describeFaults } from './rows.js';
import { cancelAll, SMALL_MACHINE, waitingJob } from './submissions.js';
import { openWorld, type World } from './world.js';

const JOBS = 10_000;
const BATCH = 1_000;
/** The others are cancelled: to run ten thousand containers takes the better part of an hour. */
const RUN = process.env.BERTH_FAULTS === 'all' ? 600 : 150;
const MIB = 1024 ** 2;

describeFaults('a burst of jobs', () => {
  let world: World;
  beforeAll(async () => {
    world = await openWorld({ workers: 2, env: SMALL_MACHINE });
  });
  afterAll(() => world?.close());

  it('row 31: ten thousand jobs at a time all end, the API answers meanwhile, and memory stays flat', async () => {
    const before = toMemory(world);
    const watch = startWatch(world);
    const ids: string[] = [];
    for (let at = 0; at < JOBS; at += BATCH) ids.push(...(await submitBatch(world, at)));
    expect(new Set(ids).size).toBe(JOBS);
    const running = ids.filter((_, n) => isRun(n));
    await cancelAll(
      world,
      ids.filter((_, n) => !isRun(n)),
    );
    await until(
      'all to have ended',
      async () => {
        const { pending, running } = await world.store.list.countByState(['pending', 'running']);
        return pending + running === 0 || undefined;
      },
      150_000,
    );
    const took_ms = await watch.stop();
    const { completed, cancelled } = await world.store.list.countByState(['completed', 'cancelled']);
    expect({ completed, cancelled }).toEqual({ completed: RUN, cancelled: JOBS - RUN });
    expect(world.ledger.read()).toHaveLength(running.length);
    expect(took_ms.length).toBeGreaterThan(50);
    expect(took_ms[Math.floor(took_ms.length * 0.99)]).toBeLessThan(2_000);
    for (const [name, bytes] of toMemory(world)) expect(bytes - (before.get(name) ?? 0), name).toBeLessThan(150 * MIB);
    await world.verify({ faultFree: true, expectedLog: (job) => (job.state === 'completed' ? DONE : undefined) });
  });
});

const DONE = Buffer.from('done\n');
const isRun = (n: number): boolean => n % Math.floor(JOBS / RUN) === 0 && n < RUN * Math.floor(JOBS / RUN);

const submitBatch = async (world: World, from: number): Promise<string[]> => {
  const jobs = Array.from({ length: BATCH }, (_, i) => (isRun(from + i) ? sideEffectJob('echo done') : waitingJob));
  const { status, body } = await world.request('POST', '/v1/jobs:batch', { jobs }, { limit_ms: 30_000 });
  if (status !== 200) throw new Error(`a batch answered ${status}: ${JSON.stringify(body)}`);
  const results = body.results as { status: number; job?: { job_id: string } }[];
  const ids = results.flatMap(({ job }) => job?.job_id ?? []);
  appendFileSync(join(world.folder, 'accepted'), `${ids.join('\n')}\n`);
  return ids;
};

/** Asks one question after the other, and returns how long each answer took in ms, the shortest first. */
const startWatch = (world: World) => {
  const took_ms: number[] = [];
  let stopped = false;
  const asking = (async () => {
    for (let i = 0; !stopped; i += 1) {
      const began = performance.now();
      await world.request('GET', i % 2 ? '/v1/jobs?limit=20' : '/v1/stats');
      took_ms.push(performance.now() - began);
      await delay(20);
    }
  })();
  return {
    async stop(): Promise<number[]> {
      stopped = true;
      await asking;
      return took_ms.sort((a, b) => a - b);
    },
  };
};

/** Resident memory in bytes, of each process of Berth. */
const toMemory = ({ apis, workers }: World): Map<string, number> =>
  new Map(
    [...apis, ...workers].map(({ name, pid }) => {
      const [, kb] = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
      return [name, Number(kb) * 1024];
    }),
  );
