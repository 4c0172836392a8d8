import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { until } from '../harness.js';
import { sideEffectJob } from './ledger.js';
import { describeFaults, slowIt } from './rows.js';
import { cancelAll, SMALL_MACHINE, startSubmissions, submitOnce, waitingJob } from './submissions.js';
import { letEnd, readStored, readTale, writingJob } from './worker-scenes.js';
import { openWorld, type World } from './world.js';

describeFaults('a broker in trouble', () => {
  let world: World;
  const outputs = new Map<string, string>();
  beforeAll(async () => {
    world = await openWorld({ workers: 2, env: SMALL_MACHINE });
  });
  afterEach(() => world?.heal());
  afterAll(() => world?.close());
  const verify = () =>
    world.verify({
      expectedLog: ({ job_id }) => (outputs.has(job_id) ? Buffer.from(outputs.get(job_id) ?? '') : undefined),
    });
  /** Running, with its side effect behind it. */
  const startWriting = async (...args: Parameters<typeof writingJob>): Promise<string> => {
    const { spec, stdout } = writingJob(...args);
    const { job_id } = await world.submit(spec);
    outputs.set(job_id, stdout);
    await until('its side effect', async () => world.ledger.read(job_id)[0]);
    return job_id;
  };
  const expectWhole = async (job_id: string) =>
    expect(await readStored(world, job_id)).toEqual({ stdout: outputs.get(job_id), notes: [] });
  const completed = { state: 'completed', cause: null, exit_code: 0, epoch: 1, attempt: 1, side_effects: [1] };

  it('row 11: killed under submit load, three times: nothing that was accepted is lost, and all goes on', async () => {
    const running = [await startWriting(60), await startWriting(80)];
    const observing = world.observe(...running);
    const load = startSubmissions(world, { clients: 6, toSpec: () => waitingJob });
    const refusals = () => load.heard.filter(({ status }) => status !== undefined && status >= 300);
    for (let kill = 0; kill < 3; kill += 1) {
      const accepted = load.ids().size + world.random.between(10, 60);
      await until('more to be accepted', async () => load.ids().size >= accepted || undefined);
      const refused = refusals().length;
      await world.redis.program.end();
      await until('some to be refused', async () => refusals().length >= refused + 20 || undefined);
      await world.redis.start();
    }
    const back_at = Date.now();
    const { job_id } = await until('a job to be accepted again', () => world.submit(sideEffectJob()));
    await until('workers to take it', async () => world.ledger.read(job_id)[0]);
    expect((world.ledger.read(job_id)[0]?.at ?? Infinity) - back_at).toBeLessThan(20_000);
    await load.stop();
    for (const { status, retry_after } of refusals()) {
      expect(status).toBe(503);
      expect(Number(retry_after)).toBeGreaterThan(0);
    }
    // Not each: where the machine stands still for a moment, all that are under way take longer.
    const took_ms = refusals().map((refusal) => refusal.took_ms);
    expect(took_ms.sort((a, b) => a - b)[Math.floor(took_ms.length / 2)]).toBeLessThan(2_000);
    const ids = load.ids();
    expect([...ids.values()].filter(({ size }) => size !== 1)).toEqual([]);
    for (const id of running) {
      await world.wait(id);
      expect(await readTale(world, id)).toMatchObject(completed);
      await expectWhole(id);
    }
    await observing.stop();
    const waiting = [...ids.values()].flatMap((each) => [...each]);
    expect(await world.store.jobs.readMany(waiting)).toHaveLength(waiting.length);
    const { pending } = await world.store.list.countByState(['pending']);
    expect(pending).toBe(waiting.length);
    await cancelAll(world, waiting);
    await verify();
  });

  it('row 13: full in the middle of jobs: they end as they do, once, and what is missing of their logs is said', async () => {
    const [after, during, early] = [
      await startWriting(180, { held: true }),
      await startWriting(70, { held: true }),
      await startWriting(15, { exit_code: 3, held: true }),
    ];
    await world.redis.set('maxmemory', '1mb');
    const refused = await submitOnce(world, sideEffectJob(), { key: 'full', api: 0 });
    const again = await submitOnce(world, sideEffectJob(), { key: 'full', api: 1 });
    expect([refused.status, again.status]).toEqual([503, 503]);
    expect(Math.min(Number(refused.retry_after), Number(again.retry_after))).toBeGreaterThan(0);
    // It ends while Redis is full, and the last of its output is offered in vain, for ten seconds.
    await letEnd(world, [early]);
    expect(await world.wait(early)).toMatchObject({ state: 'failed', cause: 'exit_code', exit_code: 3 });
    const cut = await readStored(world, early);
    expect(cut.notes.join()).toMatch(/bytes of output could not be stored/);
    expect(outputs.get(early)?.startsWith(cut.stdout)).toBe(true);
    await letEnd(world, [during]);
    await until('the other to be over', async () => (await endedContainers(world, during)) || undefined);
    await world.redis.set('maxmemory', '0');
    await letEnd(world, [after]);
    for (const job_id of [during, after]) {
      await world.wait(job_id);
      expect(await readTale(world, job_id)).toMatchObject(completed);
      await expectWhole(job_id);
    }
    const { job_id } = await until('jobs to be accepted again', () => world.submit(sideEffectJob()));
    await world.wait(job_id);
    await verify();
  });

  slowIt(
    'row 44: connections cut, scripts forgotten, read-only and busy: asked again, and no end of any job',
    async () => {
      const { client } = world.redis;
      const jobs = [await startWriting(40), await startWriting(80), await startWriting(120, { exit_code: 4 })];
      for (let i = 0; i < 5; i += 1) {
        for (const type of ['normal', 'pubsub'] as const)
          await client.call('CLIENT', 'KILL', 'TYPE', type, 'SKIPME', 'yes');
        await client.script('FLUSH');
        await delay(world.random.between(50, 300));
      }
      await client.call('REPLICAOF', '127.0.0.1', '1');
      const refused = await submitOnce(world, sideEffectJob(), { key: 'read-only', api: 0 });
      expect(refused).toMatchObject({ status: 503 });
      await delay(3_000);
      await client.call('REPLICAOF', 'NO', 'ONE');
      await world.redis.set('busy-reply-threshold', '100');
      const busy = client.duplicate({ commandTimeout: 20_000, maxRetriesPerRequest: 0 });
      busy.on('error', () => undefined);
      const ended = busy.eval('while true do end', 0).catch((error: Error) => error.message);
      await delay(3_000);
      expect(await submitOnce(world, sideEffectJob(), { key: 'busy', api: 1 })).toMatchObject({ status: 503 });
      await client.call('SCRIPT', 'KILL');
      expect(await ended).toContain('killed');
      busy.disconnect();
      for (const job_id of jobs) {
        await world.wait(job_id);
        await expectWhole(job_id);
      }
      expect(await readTale(world, jobs[0] ?? '')).toMatchObject(completed);
      expect(await readTale(world, jobs[1] ?? '')).toMatchObject(completed);
      expect(await readTale(world, jobs[2] ?? '')).toMatchObject({
        state: 'failed',
        exit_code: 4,
        epoch: 1,
        side_effects: [1],
      });
      await verify();
    },
  );
});

/** Whether its container has ended: settled it may not be yet. */
const endedContainers = async (world: World, job_id: string): Promise<boolean> =>
  (await world.containers(job_id)).every(({ State }) => State === 'exited');
