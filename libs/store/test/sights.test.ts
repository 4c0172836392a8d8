import { setTimeout as sleep } from 'node:timers/promises';
import { listCandidates, pick, toShape } from '@berth/domain';
import { expect, it } from 'vitest';
import { createDrawer } from './draw.js';
import { claim, openTestStore, submit, toClaimant, toNewJob, toSettlement } from './open-test-store.js';

const CLASSES = ['small', 'urgent'];

const beat = (more: object = {}) => {
  const { worker, engine, node, labels, region, datacenter, gpus, capacity } = toClaimant();
  const told = {
    version: '1',
    engine_version: '1',
    oci_runtime: 'runc',
    running: 0,
    started_at: 0,
    classes: ['small'],
  };
  return { worker, engine, node, labels, region, datacenter, gpus, capacity, ...told, ...more };
};

it('a sight has everybody who waits, in the order of the pick, and what the scripts give next', async () => {
  const { store } = openTestStore('sights');
  await store.workers.report(beat());
  await store.shares.setCluster({ centicpus: 400, memory_mb: 4_096, gpus: 0 });
  const running = await claim(store, await submit(store, { cpus: 1 }));
  for (const [user, cpus] of [
    ['alice', 8],
    ['alice', 1],
    ['bob', 1],
    ['bob', 1],
    ['alice', 8],
  ] as const) {
    await store.jobs.accept(toNewJob({ cpus, memory_mb: 64 }, { user }));
  }
  await store.quotas.set({ user: '*' }, { max_running: 3 });
  const { scene, ...sight } = await store.sights.read({ classes: CLASSES, depth: 2 });
  expect(sight).toMatchObject({ shapes_left_out: 0, lost_nodes: [], placed: null });
  expect(sight.running.jobs).toMatchObject([
    { job_id: running.job_id, class: 'small', bucket: 'local', engine: 'engine-1' },
  ]);
  // Two shapes and one more, on one machine.
  for (const [most_choices, jobs] of [
    [3, sight.running.jobs],
    [2, null],
  ] as const) {
    const { running: seen } = await store.sights.read({ classes: CLASSES, most_choices });
    expect(seen).toEqual({ count: 1, jobs });
  }
  const queues = scene.buckets.small?.map(({ user, queues: own }) => [
    user,
    own.map(({ jobs, count }) => [jobs.length, count]),
  ]);
  expect(queues).toEqual([
    [
      'alice',
      [
        [2, 2],
        [1, 1],
      ],
    ],
    ['bob', [[2, 2]]],
  ]);
  expect(scene.machines).toMatchObject([
    { node: 'node-1', reserved: { centicpus: 100 }, classes: ['small'], drained: false },
  ]);
  expect(scene.tallies['user/bob']).toMatchObject({ running: 0, pending: 2 });
  const [machine] = scene.machines;
  const expected = machine && pick(scene, 'small', machine);
  const drawn = await createDrawer(store).next();
  expect([drawn?.job_id, drawn?.user]).toEqual([expected?.job_id, 'alice']);
  // It has been charged for it: bob is next.
  const then = await store.sights.read({ classes: CLASSES });
  expect(listCandidates(then.scene, 'small').map(({ bucket }) => bucket)).toEqual(['bob', 'alice']);
});

it('a sight of a job says where it stands, and what keeps it from waiting', async () => {
  const { store } = openTestStore('sights');
  const first = await submit(store, { cpus: 1 });
  await submit(store, { cpus: 2, priority: 90 });
  const second = await submit(store, { cpus: 1 });
  const after = [{ job: first, condition: 'finished' as const }];
  const third = await submit(store, { after, memory_mb: 64 });
  const look = async (job_id: string) => {
    const job = await store.jobs.read(job_id);
    if (!job) throw new Error('it is gone');
    return (await store.sights.read({ classes: CLASSES, job })).placed;
  };
  expect(await look(second)).toMatchObject({ state: 'pending', ahead_in_queue: 1, ahead_of_user: 2 });
  expect((await look(second))?.job.shape).toEqual(toShape('100,256,3600'));
  expect(await look(third)).toMatchObject({
    ahead_in_queue: null,
    job: { after_left: 1, dependencies: [{ job: first, condition: 'finished', state: 'pending' }] },
  });
  await store.control.hold(second);
  expect(await look(second)).toMatchObject({ ahead_in_queue: null, job: { held: true, due_at: null } });
  await store.claims.settle(await claim(store, first), toSettlement('retried', { delay_ms: 60_000 }));
  const { job } = (await look(first)) ?? {};
  expect(job?.due_at).toBeGreaterThan(Date.now() + 50_000);
});

it('a sight of a job names the jobs of its user and those that machines are kept free for, and counts the others in order', async () => {
  const { store } = openTestStore('sights');
  await store.workers.report(beat());
  const add = async (user: string, ...sizes: number[]) => {
    const ids: string[] = [];
    for (const cpus of sizes) {
      ids.push((await store.jobs.accept(toNewJob({ cpus }, { user }))).job_id);
      // Of jobs of one millisecond, the shape decides.
      await sleep(2);
    }
    return ids;
  };
  const [own = '', ...more] = await add('alice', 2, 1, 1);
  await add('bob', 4, 1, 4, 2);
  const kept = await add('carol', 3, 1);
  await store.reservations.reserve(
    'engine-1',
    { job_id: kept[0] ?? '', at: Date.now() + 60_000, left: { centicpus: 0, memory_mb: 0, gpus: 0 } },
    [],
  );
  const job = await store.jobs.read(own);
  if (!job) throw new Error('it is gone');
  const { scene } = await store.sights.read({ classes: CLASSES, job });
  expect(scene.machines[0]?.reservation?.job_id).toBe(kept[0]);
  const heads = listCandidates(scene, 'small').map(({ bucket, job_id, shape }) => [
    bucket,
    shape.ask.centicpus,
    job_id,
  ]);
  expect(heads).toEqual([
    ['alice', 200, own],
    ['alice', 100, more[0]],
    ['bob', 400, expect.stringMatching(/\+$/)],
    ['bob', 100, expect.stringMatching(/\+$/)],
    ['bob', 200, expect.stringMatching(/\+$/)],
    ['carol', 300, kept[0]],
    ['carol', 100, kept[1]],
  ]);
  expect(scene.buckets.small?.flatMap(({ queues }) => queues.map(({ count }) => count))).toEqual([1, 2, 2, 1, 1, 1, 1]);
});

it('a sight counts jobs of whom an older version has not noted how many wait', async () => {
  const { store, redis } = openTestStore('sights');
  for (const cpus of [1, 2, 1]) await store.jobs.accept(toNewJob({ cpus }, { user: 'bob' }));
  const count = async () => {
    const { scene } = await store.sights.read({ classes: CLASSES });
    return scene.buckets.small?.flatMap(({ queues }) => queues.map((queue) => queue.count));
  };
  expect(await count()).toEqual([2, 1]);
  await redis.del(store.keys.queueLengths('small', 'bob'));
  expect(await count()).toEqual([2, 1]);
  // The next that comes notes it anew, of all that wait.
  await store.jobs.accept(toNewJob({ cpus: 1 }, { user: 'bob' }));
  expect(await count()).toEqual([3, 1]);
});

it('run times are kept of ends that are a job’s own, the last 64 of them', async () => {
  const { store, redis } = openTestStore('sights');
  const key = store.keys.runTimes('local', 'small');
  const end = async (type: Parameters<typeof toSettlement>[0], more: object = {}): Promise<void> => {
    const held = await claim(store, await submit(store));
    await store.claims.start(held, 'sha256:abc');
    await store.claims.settle(held, toSettlement(type, more));
    if (type === 'retried' || type === 'lost') await store.jobs.cancel(held.job_id);
  };
  await end('completed');
  await end('failed');
  await end('retried', { cause: 'timeout' });
  expect(await redis.llen(key)).toBe(3);
  await end('lost', { cause: 'node_lost' });
  await end('failed', { cause: 'engine_restarted' });
  await store.claims.settle(await claim(store, await submit(store)), toSettlement('failed', { cause: 'start_failed' }));
  expect(await redis.llen(key)).toBe(3);
  await redis.lpush(key, ...Array.from({ length: 80 }, () => 5));
  await end('completed');
  expect(await redis.llen(key)).toBe(64);
  const { times } = await store.sights.read({ classes: CLASSES, user: 'local' });
  expect(times['local|small']).toHaveLength(64);
});
