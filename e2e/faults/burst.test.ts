import { appendFileSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, expect } from 'vitest';
import { until } from '../harness.js';
import { sideEffectJob } from './ledger.js';
import { describeFaults, slowIt } from './rows.js';
import { cancelAll, SMALL_MACHINE, waitingJob } from './submissions.js';
import { openWorld, type World } from './world.js';

/** Ten thousand take two quiet cores most of a minute. */
const JOBS = process.env.BERTH_FAULTS === 'all' ? 10_000 : 2_000;
const BATCH = 1_000;
/** The others are cancelled, or end by waiting too long: to run ten thousand containers takes the better part of an hour. */
const RUN = 100;
const CANCELLED = 200;
const MIB = 1024 ** 2;

describeFaults('a burst of jobs', () => {
  let world: World;
  beforeAll(async () => {
    world = await openWorld({ workers: 2, env: SMALL_MACHINE });
  });
  afterAll(() => world?.close());

  slowIt('row 31: thousands of jobs at a time all end, the API answers meanwhile, and memory stays flat', async () => {
    const before = toMemory(world);
    const watch = startWatch(world);
    try {
      const { ids, unknown } = await submitAll(world);
      await cancelAll(
        world,
        ids.filter((_, n) => toEnd(n) === 'cancelled'),
      );
      await until('all to have ended', async () => ((await countUnended(world)) === 0 ? true : undefined), 150_000);
      const took_ms = await watch.stop();
      expect(await readStates(world, ids)).toEqual(ids.map((_, n) => toEnd(n)));
      expect(await countAll(world)).toBeLessThanOrEqual(JOBS + unknown);
      expect(took_ms.length).toBeGreaterThan(20);
      expect(took_ms[Math.floor(took_ms.length * 0.99)]).toBeLessThan(2_000);
    } finally {
      await watch.stop();
    }
    for (const [name, bytes] of toMemory(world)) expect(bytes - (before.get(name) ?? 0), name).toBeLessThan(150 * MIB);
    await world.verify({ faultFree: true, expectedLog: (job) => (job.state === 'completed' ? DONE : undefined) });
  });
});

const countUnended = async ({ store }: World): Promise<number> => {
  const { pending, running } = await store.list.countByState(['pending', 'running']);
  return pending + running;
};
const readStates = async ({ store }: World, ids: string[]): Promise<string[]> => {
  const states: string[] = [];
  for (let at = 0; at < ids.length; at += BATCH)
    states.push(...(await store.jobs.readMany(ids.slice(at, at + BATCH))).map(({ state }) => state));
  return states;
};
const countAll = async ({ store }: World): Promise<number> => {
  const counts = await store.list.countByState(['pending', 'running', 'completed', 'failed', 'cancelled']);
  return Object.values(counts).reduce((sum, n) => sum + n, 0);
};

const DONE = Buffer.from('done\n');
type End = 'completed' | 'cancelled' | 'failed';
const toEnd = (n: number): End => {
  if (n % (JOBS / RUN) === 0) return 'completed';
  return n % (JOBS / CANCELLED) === 1 ? 'cancelled' : 'failed';
};
const SPECS: Record<End, object> = {
  completed: sideEffectJob('echo done'),
  cancelled: { ...waitingJob, queue_timeout_seconds: 120 },
  failed: { ...waitingJob, queue_timeout_seconds: 5 },
};

/** Job `n` has the nth id. What a busy broker did not answer in time is submitted again, and may be there twice: `unknown`. */
const submitAll = async (world: World): Promise<{ ids: string[]; unknown: number }> => {
  const ids: string[] = [];
  let unknown = 0;
  for (let left = Array.from({ length: JOBS }, (_, n) => n); left.length > 0; ) {
    const batch = left.splice(0, BATCH);
    const jobs = batch.map((n) => SPECS[toEnd(n)]);
    const { status, body } = await world.request('POST', '/v1/jobs:batch', { jobs }, { limit_ms: 60_000 });
    const results = status === 200 ? (body.results as { job?: { job_id: string } }[]) : [];
    if (status !== 200 && status !== 503) throw new Error(`a batch answered ${status}: ${JSON.stringify(body)}`);
    for (const [i, n] of batch.entries()) {
      const job_id = results[i]?.job?.job_id;
      if (job_id !== undefined) ids[n] = job_id;
      else left.push(n);
    }
    unknown += batch.filter((n) => ids[n] === undefined).length;
  }
  appendFileSync(join(world.folder, 'accepted'), `${ids.join('\n')}\n`);
  return { ids, unknown };
};

/** Asks one question after the other, and returns how long each answer took in ms, the shortest first. */
const startWatch = (world: World) => {
  const took_ms: number[] = [];
  let stopped = false;
  const asking = (async () => {
    for (let i = 0; !stopped; i += 1) {
      const began = performance.now();
      await world.request('GET', i % 2 ? '/v1/jobs?limit=20' : '/v1/stats').catch(() => undefined);
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
