import { afterAll, beforeAll, expect } from 'vitest';
import { until } from '../harness.js';
import { sideEffectJob } from './ledger.js';
import { NO_REGISTRY, openRegistry, REGISTRY, type Registry } from './registry.js';
import { describeFaults, slowIt } from './rows.js';
import { readTale } from './worker-scenes.js';
import { openWorld, type World } from './world.js';

const PULL_SECONDS = 8;

describeFaults('images that are pulled', () => {
  let world: World;
  let registry: Registry;
  beforeAll(async () => {
    const env = {
      BERTH_ALLOWED_REGISTRIES: `${REGISTRY},${NO_REGISTRY}`,
      BERTH_PULL_TIMEOUT_SECONDS: String(PULL_SECONDS),
    };
    world = await openWorld({ workers: 2, env });
    registry = await openRegistry(world);
    await registry.program.start();
  });
  afterAll(() => world?.close());

  const submit = (image: string, more: Record<string, unknown> = {}) =>
    world.submit({ ...sideEffectJob('echo pulled', more), image });
  /** A job whose container never was. */
  const expectUnstarted = async (
    job_id: string,
    end: { state: string; cause: string; epoch?: number; attempt?: number },
  ) => {
    expect(await readTale(world, job_id)).toMatchObject({
      epoch: 1,
      attempt: 1,
      ...end,
      exit_code: null,
      side_effects: [],
    });
    expect((await world.store.jobs.readHistory(job_id)).map(({ type }) => type)).not.toContain('started');
  };

  slowIt('row 42: ten jobs at a time with an image that is not there yet cost one download of it', async () => {
    const jobs = await Promise.all(Array.from({ length: 10 }, () => submit(`${REGISTRY}/once:1`)));
    for (const { job_id } of jobs) {
      await world.wait(job_id);
      expect(await readTale(world, job_id)).toMatchObject({ state: 'completed', epoch: 1, side_effects: [1] });
    }
    expect(registry.asked('once').filter((line) => line === 'GET layer')).toHaveLength(1);
    await world.verify({ faultFree: true, expectedLog: () => Buffer.from('pulled\n') });
  });

  slowIt(
    "row 42: an image that the registry does not know is the job's own fault: it fails at once, and is not tried again",
    async () => {
      const { job_id } = await submit(`${REGISTRY}/missing:1`, { retry: { max_attempts: 3, backoff_seconds: 0 } });
      const { message } = await world.wait(job_id);
      await expectUnstarted(job_id, { state: 'failed', cause: 'image_not_found' });
      expect(message).toContain('could not be pulled');
      await world.verify();
    },
  );

  slowIt(
    'row 42: a registry that is down, or answers with an error, uses up attempts as the policy says, and no more',
    async () => {
      const [down, broken, twice] = await Promise.all([
        submit(`${NO_REGISTRY}/any:1`),
        submit(`${REGISTRY}/broken:1`),
        submit(`${NO_REGISTRY}/any:2`, { retry: { max_attempts: 2, backoff_seconds: 0 } }),
      ]);
      for (const { job_id } of [down, broken]) {
        await world.wait(job_id);
        await expectUnstarted(job_id, { state: 'failed', cause: 'image_pull_failed' });
      }
      const { attempts } = await world.wait(twice.job_id);
      expect(attempts.map(({ attempt, epoch, cause }) => ({ attempt, epoch, cause }))).toEqual([
        { attempt: 1, epoch: 1, cause: 'image_pull_failed' },
        { attempt: 2, epoch: 2, cause: 'image_pull_failed' },
      ]);
      await expectUnstarted(twice.job_id, { state: 'failed', cause: 'image_pull_failed', epoch: 2, attempt: 2 });
      await world.verify();
    },
  );

  slowIt('row 42: a registry that comes back serves the next attempt', async () => {
    await registry.program.end();
    const { job_id } = await submit(`${REGISTRY}/back:1`, {
      retry: { max_attempts: 50, backoff_seconds: 1, max_backoff_seconds: 1 },
    });
    await until(
      'an attempt to fail',
      async () => ((await world.job(job_id)).attempts.length > 0 ? true : undefined),
      30_000,
    );
    await registry.program.start();
    const { attempts } = await world.wait(job_id);
    expect(attempts.slice(0, -1).map(({ cause }) => cause)).toEqual(attempts.slice(1).map(() => 'image_pull_failed'));
    const { epoch } = await readTale(world, job_id);
    expect(epoch).toBe(attempts.length);
    expect(await readTale(world, job_id)).toMatchObject({ state: 'completed', attempt: epoch, side_effects: [epoch] });
    await world.verify({ expectedLog: () => Buffer.from('pulled\n') });
  });

  slowIt('row 42: a download that goes on for ever is given up in time', async () => {
    const began = Date.now();
    const { job_id } = await submit(`${REGISTRY}/slow-download:1`);
    const { message } = await world.wait(job_id);
    expect(Date.now() - began).toBeGreaterThanOrEqual(PULL_SECONDS * 1000);
    expect(Date.now() - began).toBeLessThan((PULL_SECONDS + 15) * 1000);
    await expectUnstarted(job_id, { state: 'failed', cause: 'image_pull_failed' });
    expect(message).toBe(`The image could not be pulled within ${PULL_SECONDS} s`);
    await until('the engine to give it up too', async () =>
      registry.countLeft('slow-download') > 0 ? true : undefined,
    );
    await world.verify();
  });

  slowIt('row 42: a cancel during a download ends the job at once, and its container never comes to be', async () => {
    const { job_id } = await submit(`${REGISTRY}/slow-cancelled:1`);
    await until('the download to begin', async () =>
      registry.asked('slow-cancelled').some((line) => line === 'GET layer') ? true : undefined,
    );
    const began = Date.now();
    await world.cancel(job_id);
    await world.wait(job_id);
    expect(Date.now() - began).toBeLessThan((PULL_SECONDS - 1) * 1000);
    await until(
      'the download to be over',
      async () => (registry.countLeft('slow-cancelled') > 0 ? true : undefined),
      2 * PULL_SECONDS * 1000,
    );
    await expectUnstarted(job_id, { state: 'cancelled', cause: 'cancelled' });
    expect(
      world.workers.flatMap(({ proxy }) => proxy.calls()).filter((call) => call.includes(`name=berth-${job_id}`)),
    ).toEqual([]);
    await world.verify();
  });
});
