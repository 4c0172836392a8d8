import { join } from 'node:path';
import { readEngineEvents } from '@berth/verify';
import { afterAll, afterEach, beforeAll, expect } from 'vitest';
import { until } from '../harness.js';
import { sideEffectJob } from './ledger.js';
import { createRandom } from './random.js';
import { describeFaults, slowIt } from './rows.js';
import { openWorld, type World } from './world.js';

/** The tools break what they say that they break, and mend it again. */
describeFaults('the tools of a world', () => {
  let world: World;
  beforeAll(async () => {
    if (process.env.BERTH_FAULTS !== 'all') return;
    world = await openWorld({ engines: 2, workers: 2, redis: { disk_mb: 12 }, reapers: true });
  });
  afterEach(() => world?.heal());
  afterAll(() => world?.close());
  const worker = (i: number) => world.workers[i] as World['workers'][number];

  slowIt('two engines have two ids, and a job runs on each', async () => {
    const infos = await Promise.all(world.engines.map(({ docker }) => docker.info()));
    expect(new Set(infos.map(({ ID }) => ID)).size).toBe(2);
    const jobs = await Promise.all(
      [0, 1, 2, 3].map(() => world.submit(sideEffectJob('sleep 1', { cpus: 1, memory_mb: 64 }))),
    );
    const ended = await Promise.all(jobs.map(({ job_id }) => world.wait(job_id)));
    expect(ended.map(({ state }) => state)).toEqual(['completed', 'completed', 'completed', 'completed']);
    expect(new Set(ended.map(({ node }) => node))).toEqual(new Set(['node-0', 'node-1']));
    await world.verify({ faultFree: true });
  });

  slowIt.each([
    ['dropped both ways', () => worker(0).link.drop()],
    ['dropped one way', () => worker(0).link.drop('from')],
    ['pulled out', () => worker(0).link.down()],
  ])('a wire that is %s carries nothing until it is mended', async (_, breakIt) => {
    await breakIt();
    const redis = 'timeout 2 redis-cli -h 10.99.0.1 ping | grep -q PONG';
    await expect(inSpaceOf(0, redis)).rejects.toThrow();
    await world.heal();
    await inSpaceOf(0, redis);
  });

  slowIt('a rule kills the worker before the engine hears of the start', async () => {
    for (const { proxy } of world.workers) proxy.clear();
    const kills = world.workers.map((one) =>
      one.proxy.before({ method: 'POST', path: /\/containers\/[0-9a-f]+\/start/ }, () => one.end()),
    );
    const { job_id } = await world.submit(sideEffectJob());
    await Promise.race(kills.map(({ done }) => done));
    for (const { proxy } of world.workers) proxy.clear();
    expect((await world.containers(job_id)).map(({ State }) => State)).toEqual(['created']);
    expect(world.ledger.read(job_id)).toEqual([]);
    await world.heal();
    expect(await world.wait(job_id)).toMatchObject({ state: 'completed' });
    await world.verify();
  });

  slowIt('a reply that is dropped was an order that was carried out', async () => {
    const rules = world.workers.map(({ proxy }) =>
      proxy.after({ method: 'POST', path: /\/containers\/create\?name=berth-[0-9a-f-]{36}-e/ }, () => 'drop'),
    );
    const { job_id } = await world.submit(sideEffectJob());
    const { status, body } = await Promise.race(rules.map(({ done }) => done));
    expect(status).toBe(201);
    const { Id } = JSON.parse(body ?? '');
    for (const { proxy } of world.workers) proxy.clear();
    await world.wait(job_id);
    expect(Id).toMatch(/^[0-9a-f]{64}$/);
    await world.verify();
  });

  slowIt('the broker dies, stands still, and has a full disk, and takes writes again', async () => {
    await world.redis.client.set('kept', 'yes');
    await world.redis.program.end();
    expect((await world.request('GET', '/ready').catch(() => ({ status: 503 }))).status).toBe(503);
    await world.redis.start();
    expect(await until('the broker', () => world.redis.client.get('kept').then((text) => text ?? undefined))).toBe(
      'yes',
    );
    world.redis.fillDisk();
    fillBroker(world).catch(() => undefined);
    await world.redis.program.ended();
    expect(world.redis.program.output()).toContain("Can't recover from AOF write error");
    world.redis.freeDisk();
    await world.redis.start();
    await until('writes', async () => (await world.redis.client.set('kept', 'still')) === 'OK' || undefined);
    await world.redis.client.del('kept', 'filling');
    await world.heal();
    const { job_id } = await world.submit(sideEffectJob());
    expect(await world.wait(job_id)).toMatchObject({ state: 'completed' });
    await world.verify();
  });

  slowIt('an engine that was killed comes back with the image, and the end of what it ran is known', async () => {
    const { job_id } = await world.submit(sideEffectJob('[ $BERTH_EPOCH = 1 ] && sleep 300; true'));
    await until('its side effect', async () => world.ledger.read(job_id)[0]);
    const owner = await world.ownerOf(job_id);
    await owner.engine.restart();
    expect(await world.wait(job_id)).toMatchObject({ state: 'completed' });
    expect(world.ledger.read(job_id).map(({ epoch }) => epoch)).toEqual([1, 2]);
    await world.verify();
  });

  const inSpaceOf = (i: number, script: string) => worker(i).link.sh(script);
});

describeFaults('a world that mends itself', () => {
  let world: World;
  beforeAll(async () => {
    if (process.env.BERTH_FAULTS === 'all')
      world = await openWorld({ workers: 2, supervised: true, liveRestore: true, seed: 7 });
  });
  afterAll(() => world?.close());

  slowIt('starts again what was killed', async () => {
    const parts = [world.workers[0], world.apis[0], world.redis.program].filter((part) => part !== undefined);
    const before = parts.map(({ pid }) => pid);
    for (const part of parts) part.kill('SIGKILL');
    await until('all of it to be back', async () =>
      parts.every((part, i) => part.alive && part.pid !== before[i]) ? true : undefined,
    );
    await world.heal();
    const { job_id } = await world.submit(sideEffectJob());
    expect(await world.wait(job_id)).toMatchObject({ state: 'completed' });
  });

  slowIt('knows when a container ended while its engine was away', async () => {
    const { job_id } = await world.submit(sideEffectJob('sleep 5; exit 7'));
    const [line] = await until('its side effect', async () => {
      const lines = world.ledger.read(job_id);
      return lines.length > 0 ? lines : undefined;
    });
    const engine = world.engines[0];
    await engine?.program.end();
    const away_at = Date.now();
    await until('the container to be over', async () => (Date.now() - (line?.at ?? 0) > 8_000 ? true : undefined));
    await engine?.start();
    const back_at = Date.now();
    expect(await world.wait(job_id)).toMatchObject({ state: 'failed', exit_code: 7 });
    await world.verify();
    const died = readEngineEvents(join(world.folder, 'events')).find(
      (event) => event.job_id === job_id && event.action === 'die',
    );
    expect(died?.at_ms).toBeGreaterThan(away_at);
    expect(died?.at_ms).toBeLessThan(back_at);
  });

  slowIt('a slow wire makes a job late and nothing else', async () => {
    for (const worker of world.workers) {
      worker.supervise(false);
      await worker.end();
      await worker.start({ slow: true });
      worker.slow.delay_ms = 300;
    }
    const { job_id } = await world.submit(sideEffectJob());
    const { queue_ms } = await world.wait(job_id);
    expect(queue_ms).toBeGreaterThan(600);
    await world.verify();
  });

  slowIt('draws the same numbers from the same seed', () => {
    const draw = () => {
      const random = createRandom(world.seed);
      return [random.between(1, 6), random.pick(['a', 'b', 'c']), random.fork().next(), random.next()];
    };
    expect(draw()).toEqual(draw());
    expect(world.random.between(1, 6)).toBe(createRandom(7).between(1, 6));
  });
});

const fillBroker = async (world: World): Promise<void> => {
  for (let i = 0; i < 50; i += 1) await world.redis.client.set('filling', 'x'.repeat(100_000));
};
