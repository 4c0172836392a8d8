import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { until } from '../harness.js';
import { sideEffectJob } from './ledger.js';
import { describeFaults, slowIt } from './rows.js';
import { openSlowLink } from './slow-link.js';
import { cancelAll, type Heard, SMALL_MACHINE, submitOnce, waitingJob } from './submissions.js';
import { readTale } from './worker-scenes.js';
import { openWorld, type World } from './world.js';

const ROUNDS = 6;

describeFaults('an API that dies', () => {
  let world: World;
  beforeAll(async () => {
    world = await openWorld({ workers: 2, env: SMALL_MACHINE });
  });
  afterAll(() => world?.close());
  const count = () => world.store.list.countByState(['pending', 'running', 'completed', 'failed', 'cancelled']);
  const countAll = async () => Object.values(await count()).reduce((sum, n) => sum + n, 0);

  it('row 29: fifty submits under one key at a time, on two replicas, are one job', async () => {
    const before = await countAll();
    const fifty = Array.from({ length: 50 }, () => ({ key: 'fifty', n: 0, heard: [] as Heard[] }));
    await Promise.all(fifty.map((job, i) => submitUntilAccepted(job, i % 2)));
    expectStatuses(fifty);
    const heard = fifty.flatMap((job) => job.heard);
    const first = heard.filter(({ status }) => status === 201);
    const unknown = heard.filter(({ job_id }) => job_id === undefined);
    expect(first.length).toBeLessThanOrEqual(1);
    expect(first.length + unknown.length).toBeGreaterThan(0);
    const ids = new Set(fifty.flatMap(toIds));
    expect(ids.size).toBe(1);
    expect(await countAll()).toBe(before + 1);
    const [job_id = ''] = ids;
    await world.wait(job_id);
    expect(await readTale(world, job_id)).toMatchObject({ state: 'completed', epoch: 1, side_effects: [1] });
    await world.verify({ faultFree: true, expectedLog: () => Buffer.from('once\n') });
  });

  /** A burst of submits to both replicas, one of which dies when so many of them have been answered. */
  const burst = async (round: number, size: number): Promise<{ key: string; n: number; heard: Heard[] }[]> => {
    const dies = world.apis[round % 2] as World['apis'][number];
    const kill_at = world.random.between(0, size - 1);
    let answered = 0;
    const calls = Array.from({ length: size }, async (_, i) => {
      const job = { key: `burst-${round}-${i}`, n: i, heard: [] as Heard[] };
      job.heard.push(await submitOnce(world, toSpec(i), { key: job.key, api: world.random.between(0, 1) }));
      answered += 1;
      if (answered === kill_at) dies.kill('SIGKILL');
      return job;
    });
    if (kill_at === 0) setImmediate(() => dies.kill('SIGKILL'));
    const jobs = await Promise.all(calls);
    await dies.ended();
    return jobs;
  };
  const toSpec = (n: number) => (n === 0 ? sideEffectJob('echo once') : waitingJob);

  const submitUntilAccepted = async (job: { key: string; n: number; heard: Heard[] }, api: number): Promise<void> => {
    await until('it to be accepted', async () => {
      job.heard.push(await submitOnce(world, toSpec(job.n), { key: job.key, api }));
      return job.heard.at(-1)?.job_id;
    });
  };

  it('row 9: SIGKILL in the midst of submits; the same key gives the same job, and what was accepted is there', async () => {
    const before = await countAll();
    const jobs: Awaited<ReturnType<typeof burst>> = [];
    let starting: Promise<void> = Promise.resolve();
    for (let round = 0; round < ROUNDS; round += 1) {
      jobs.push(...(await burst(round, 50)));
      await starting;
      starting = (world.apis[round % 2] as World['apis'][number]).start();
    }
    await starting;
    const unknown = jobs.filter(({ heard }) => heard[0]?.status === undefined);
    expect(unknown.length).toBeGreaterThan(0);
    // Before anything is tried again, what was accepted is there.
    const known = jobs.flatMap(({ heard }) => heard[0]?.job_id ?? []);
    expect(await world.store.jobs.readMany(known)).toHaveLength(known.length);
    for (const api of [0, 1]) await inTurns(jobs, (job) => submitUntilAccepted(job, api));
    expectStatuses(jobs);
    expect(jobs.filter((job) => new Set(toIds(job)).size !== 1)).toEqual([]);
    expect(await countAll()).toBe(before + jobs.length);
    await cancelAll(world, jobs.filter(({ n }) => n !== 0).flatMap(toIds));
    await world.verify();
  }, 400_000);

  slowIt(
    'row 10: the relay dies between the outbox and the queue; the job starts all the same, within 10 s',
    async () => {
      const [dying, other] = world.apis as [World['apis'][number], World['apis'][number]];
      const slow = await openSlowLink(world.redis.url.replace('unix://', ''), join(world.folder, 'slow-api.sock'));
      try {
        await dying.end();
        await dying.start({ env: { REDIS_URL: slow.url } });
        slow.delay_ms = 300;
        other.kill('SIGSTOP');
        const { job_id } = await world.submit(sideEffectJob(), { api: 0 });
        // The script that takes it out, or the answer to that, is on its way.
        slow.delay_ms = 3_000;
        const isDispatched = () => world.redis.client.zscore(world.store.keys.dispatched('small'), job_id);
        await until('the job to be out of the outbox', async () => (await isDispatched()) ?? undefined);
        await dying.end();
        const killed_at = Date.now();
        expect(await world.redis.client.keys(`${world.store.keys.bull}:*${job_id}*`)).toEqual([]);
        other.kill('SIGCONT');
        await world.wait(job_id);
        expect((world.ledger.read(job_id)[0]?.at ?? Infinity) - killed_at).toBeLessThan(10_000);
        expect(await readTale(world, job_id)).toMatchObject({ state: 'completed', epoch: 1, side_effects: [1] });
      } finally {
        await world.heal();
        await dying.end();
        await dying.start();
        await slow.close();
      }
      await world.verify();
    },
  );
});

/** A client hears that its job is accepted, or that nobody knows, and nothing else. */
const expectStatuses = (jobs: { heard: Heard[] }[]): void => {
  const statuses = new Set(jobs.flatMap(({ heard }) => heard.map(({ status }) => status)));
  expect([...statuses].filter((status) => ![201, 200, 503, undefined].includes(status))).toEqual([]);
};

const toIds = ({ heard }: { heard: Heard[] }): string[] => heard.flatMap(({ job_id }) => job_id ?? []);

const CLIENTS = 16;
const inTurns = async <T>(items: T[], work: (item: T) => Promise<void>): Promise<void> => {
  for (let at = 0; at < items.length; at += CLIENTS) await Promise.all(items.slice(at, at + CLIENTS).map(work));
};
