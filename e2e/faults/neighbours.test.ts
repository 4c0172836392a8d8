import { rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, expect, onTestFinished } from 'vitest';
import { until } from '../harness.js';
import { describeFaults, slowIt } from './rows.js';
import { openWorld, type World } from './world.js';

const CPUS = 0.5;
const STANDARD_MB = 64;
const CLASSES = [
  { name: 'standard', max_cpus: 1, max_memory_mb: STANDARD_MB },
  { name: 'strict', max_cpus: 1, max_memory_mb: 256, profile: 'strict' },
];
const NEIGHBOUR = { command: 'while :; do :; done', cpus: CPUS, memory_mb: 16 };

/** What each wants is more than it may have, again and again. */
const HOGS = {
  memory: { command: "while :; do sh -c 'x=xxxxxxxx; while :; do x=$x$x; done'; echo again; done", memory_mb: 32 },
  'room in its tmpfs': {
    command: 'while :; do dd if=/dev/zero of=/tmp/x bs=64k 2> /dev/null; echo again; done',
    memory_mb: 2 * STANDARD_MB,
  },
  CPUs: { command: 'echo again; for i in 1 2 3 4; do while :; do :; done & done; wait', memory_mb: 16 },
};

const WINDOW_MS = 2_500;
const ROUNDS = 2;
const MOST_ROUNDS = 6;
/** Where it does not even get this alone, others use the machine, and what it gets says nothing of its neighbour. */
const QUIET_SHARE = 0.95;
/** Of what it gets alone. */
const LEAST_LEFT = 0.8;
/** Of its limit, which is kept on average over tenths of a second. */
const MOST_TAKEN = 1.15;

describeFaults('a job that wants more than its share', () => {
  const classes = join(tmpdir(), `berth-classes-${process.pid}.json`);
  let world: World;
  beforeAll(async () => {
    if (process.env.BERTH_FAULTS !== 'all') return;
    writeFileSync(classes, JSON.stringify(CLASSES));
    const env = { BERTH_CPUS: '2', BERTH_MEMORY_MB: '1024', BERTH_CLASSES_FILE: classes };
    world = await openWorld({ apis: 1, workers: 1, env });
  });
  afterAll(async () => {
    rmSync(classes, { force: true });
    await world?.close();
  });

  /** Time on a CPU so far and the time of the look, both in ms, as the kernel counts them for the job's container. */
  const readCpuTime = async (job_id: string) => {
    const [found] = await world.containers(job_id);
    const container = world.engines[0]?.docker.getContainer(found?.Id ?? '');
    const stats = await container?.stats({ stream: false, 'one-shot': true });
    return { at: performance.now(), used: (stats?.cpu_stats.cpu_usage.total_usage ?? Number.NaN) / 1e6 };
  };
  /** How much of its limit each of the jobs gets over a while. */
  const measure = async (...job_ids: string[]): Promise<number[]> => {
    const before = await Promise.all(job_ids.map(readCpuTime));
    await delay(WINDOW_MS);
    const after = await Promise.all(job_ids.map(readCpuTime));
    return after.map(({ at, used }, i) => (used - (before[i]?.used ?? 0)) / (at - (before[i]?.at ?? 0)) / CPUS);
  };
  const startHog = async (spec: object): Promise<string> => {
    const { job_id } = await world.submit({ ...spec, cpus: CPUS, stop_grace_seconds: 0 });
    await until('it to begin', async () => (await world.job(job_id)).stdout.includes('again') || undefined, 40_000);
    return job_id;
  };
  const end = async (job_id: string) => {
    await world.cancel(job_id);
    return world.wait(job_id);
  };

  for (const [what, spec] of Object.entries(HOGS)) {
    slowIt(`row 37: takes ${what}, and leaves its neighbour what is due to it`, async ({ skip }) => {
      const neighbour = await world.submit(NEIGHBOUR);
      onTestFinished(async () => void (await end(neighbour.job_id)));
      await until(
        'it to run',
        async () => (await world.containers(neighbour.job_id))[0]?.State === 'running' || undefined,
      );
      const rounds: { alone: number; beside: number; taken: number }[] = [];
      for (let tries = 0; rounds.length < ROUNDS && tries < MOST_ROUNDS; tries += 1) {
        const [before = 0] = await measure(neighbour.job_id);
        const hog = await startHog(spec);
        const [beside = 0, taken = 0] = await measure(neighbour.job_id, hog);
        const ended = await end(hog);
        expect(ended).toMatchObject({ state: 'cancelled', attempts: [{ epoch: 1 }] });
        const evidence = ended.attempts[0]?.evidence as { oom_kills: number } | undefined;
        expect((evidence?.oom_kills ?? 0) > 0).toBe(what === 'memory');
        const [after = 0] = await measure(neighbour.job_id);
        const alone = Math.min(before, after);
        process.stdout.write(
          `${what}: alone ${toText(before, after)}, beside ${toText(beside)}, taken ${toText(taken)}\n`,
        );
        expect(taken).toBeLessThan(MOST_TAKEN);
        if (alone > QUIET_SHARE) rounds.push({ alone, beside, taken });
      }
      if (rounds.length < ROUNDS) skip('others use this machine: what a job gets says nothing of its neighbour');
      for (const { alone, beside } of rounds) expect(beside / alone).toBeGreaterThan(LEAST_LEFT);
      const ended = await end(neighbour.job_id);
      expect(ended).toMatchObject({ state: 'cancelled', attempts: [{ epoch: 1, evidence: { oom_kills: 0 } }] });
      await world.verify({ faultFree: true });
    });
  }
});

const toText = (...shares: number[]): string => shares.map((share) => share.toFixed(3)).join(' and ');
