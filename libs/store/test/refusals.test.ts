import { rmSync } from 'node:fs';
import { createStore, isUnavailable, requireSafeBroker, type Store, UnsafeBrokerError } from '@berth/store';
import { Redis } from 'ioredis';
import { describe, expect, it, onTestFinished } from 'vitest';
import { claim, openTestStore, submit, toClaimant, toNewJob, toSettlement } from './open-test-store.js';
import { bePatient, connect, program, startBroker } from './own-broker.js';
import { waitUntil } from './wait-until.js';

const errorOf = (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => 'no error',
    (error: unknown) => error,
  );

/** The reply must be the one that the test wants to provoke, and be taken for what it is. */
const expectRefused = async (work: Promise<unknown>, words: RegExp): Promise<void> => {
  const error = (await errorOf(work)) as Error;
  expect(String(error.message ?? error)).toMatch(words);
  expect(isUnavailable(error)).toBe(true);
};

const openOwn = async (settings?: string[]) => {
  const own = await startBroker(settings);
  const redis = await connect(own.url, 'request');
  bePatient(redis);
  return { ...own, redis, store: createStore(redis, 'test') };
};

const fill = (redis: Redis) => redis.config('SET', 'maxmemory', '1');
/** All that it holds, byte for byte. */
const readAll = async (redis: Redis): Promise<Map<string, string | undefined>> => {
  const keys = (await redis.keys('*')).sort();
  return new Map(
    await Promise.all(keys.map(async (key) => [key, (await redis.dumpBuffer(key))?.toString('hex')] as const)),
  );
};
const makeRoom = (redis: Redis) => redis.config('SET', 'maxmemory', '0');

describe.skipIf(!program)('a full broker', () => {
  it('refuses jobs, claims and output, and takes them when it has room again', async () => {
    const { redis, store } = await openOwn();
    const running = await claim(store, await submit(store));
    const id = await submit(store);
    await fill(redis);
    await expectRefused(store.jobs.accept(toNewJob()), /^OOM/);
    await expectRefused(store.claims.claim(id, toClaimant()), /^OOM/);
    const piece = { stream: 'stdout' as const, attempt: 1, bytes: Buffer.from('x') };
    await expectRefused(store.logs.append(running, { first: 1, pieces: [piece] }), /^OOM/);
    await expectRefused(redis.multi().set('a', 'b').exec() as Promise<unknown>, /^EXECABORT/);
    expect(await redis.keys('test:*')).toEqual(expect.not.arrayContaining(['test:nothing']));
    expect((await store.list.list({}, 10)).jobs.map(({ job_id }) => job_id).sort()).toEqual(
      [running.job_id, id].sort(),
    );
    expect(await store.logs.readAfter(running.job_id)).toEqual([]);
    const note = {
      stream: 'note' as const,
      attempt: 1,
      bytes: Buffer.from('1 byte is missing'),
      about: 'end' as const,
    };
    expect(await store.logs.append(running, { first: 2, pieces: [note] })).toBe('stored');
    await expectRefused(store.logs.append(running, { first: 3, pieces: [note, piece] }), /^OOM/);
    expect((await store.logs.readAfter(running.job_id)).map(({ bytes }) => bytes)).toEqual([note.bytes]);
    await makeRoom(redis);
    expect((await claim(store, id)).epoch).toBe(1);
    expect((await store.jobs.accept(toNewJob())).replayed).toBe(false);
  });

  it('lets what runs be held, started, cancelled and ended', async () => {
    const { redis, store } = await openOwn();
    const [ends, stops, waits] = [await submit(store), await submit(store), await submit(store)];
    const [ending, stopping] = [await claim(store, ends), await claim(store, stops)];
    await fill(redis);
    expect(await store.claims.start(ending, 'sha256:abc')).toBe('started');
    expect(await store.jobs.cancel(stops)).toEqual({ kind: 'requested' });
    expect(await store.jobs.cancel(waits)).toMatchObject({ kind: 'cancelled' });
    expect(await store.claims.renew([ending, stopping])).toEqual(['held', 'cancel']);
    expect(await store.claims.settle(ending, toSettlement('completed'))).toEqual({
      kind: 'settled',
      state: 'completed',
    });
    expect(await store.claims.settle(stopping, toSettlement('failed'))).toEqual({
      kind: 'settled',
      state: 'cancelled',
    });
    expect((await store.jobs.readHistory(ends)).map(({ type }) => type)).toEqual([
      'submitted',
      'claimed',
      'started',
      'completed',
    ]);
  });

  it('changes what waits as a whole or not at all', async () => {
    const { redis, store } = await openOwn();
    const array = { job: toNewJob(), array: { size: 100 } };
    const { array_id } = await store.arrays.add(array);
    await store.arrays.expand(array_id);
    const [held, free] = [await submit(store), await submit(store)];
    await store.control.hold(held);
    await fill(redis);
    const before = await readAll(redis);
    await expectRefused(store.arrays.add(array), /^OOM/);
    await expectRefused(store.arrays.expand(array_id), /^OOM/);
    await expectRefused(store.control.reprioritize(free, 90), /^OOM/);
    await expectRefused(store.quotas.set({ user: 'local' }, { max_running: 1 }), /^OOM/);
    await expectRefused(store.shares.change({ half_life_seconds: 60, weights: { local: 2 } }), /^OOM/);
    expect(await readAll(redis)).toEqual(before);
    expect(await store.control.unhold(held)).toMatchObject({ kind: 'done' });
    expect(await store.control.hold(free)).toMatchObject({ kind: 'done' });
    for (let left = 1, how: 'begin' | 'go on' = 'begin'; left > 0; how = 'go on') {
      const reply = await store.arrays.cancel(array_id, how);
      left = reply.kind === 'cancelled' ? reply.left : 0;
    }
    expect(await store.arrays.read(array_id)).toMatchObject({ state: 'cancelled', counts: { cancelled: 100 } });
    await makeRoom(redis);
    expect(await store.counts.recount()).toEqual([]);
  });

  it('lets jobs that waited too long or finished long ago go', async () => {
    const { redis, store } = await openOwn();
    const { job_id } = await store.jobs.accept(toNewJob({}, { queue_timeout_seconds: 0.001 }));
    await fill(redis);
    await waitUntil('the job has failed', async () => (await store.backlog.failOverdue()).length > 0);
    expect((await store.jobs.read(job_id))?.cause).toBe('queue_timeout');
    expect(await store.retention.forget(Date.now() + 60_000)).toBe(1);
    expect(await store.jobs.read(job_id)).toBeNull();
  });
});

describe.skipIf(!program)('a broker that is there and cannot', () => {
  const expectAllRefused = async (store: Store, words: RegExp, held: Awaited<ReturnType<typeof claim>>) => {
    await expectRefused(store.jobs.accept(toNewJob()), words);
    await expectRefused(store.claims.settle(held, toSettlement('completed')), words);
    await expectRefused(store.claims.renew([held]), words);
  };

  it('READONLY and MASTERDOWN: it became a replica, and is a master again', async () => {
    const { redis, store } = await openOwn();
    const held = await claim(store, await submit(store));
    await redis.replicaof('127.0.0.1', 1);
    await expectAllRefused(store, /^READONLY/, held);
    expect((await store.jobs.read(held.job_id))?.state).toBe('running');
    await redis.config('SET', 'replica-serve-stale-data', 'no');
    await expectRefused(store.jobs.read(held.job_id), /^MASTERDOWN/);
    await redis.replicaof('NO', 'ONE');
    expect(await store.claims.settle(held, toSettlement('completed'))).toMatchObject({ kind: 'settled' });
  });

  it('NOREPLICAS: it wants more replicas than it has', async () => {
    const { redis, store } = await openOwn();
    const held = await claim(store, await submit(store));
    await redis.config('SET', 'min-replicas-to-write', '1');
    await expectAllRefused(store, /^NOREPLICAS/, held);
    await redis.config('SET', 'min-replicas-to-write', '0');
    expect(await store.claims.settle(held, toSettlement('completed'))).toMatchObject({ kind: 'settled' });
  });

  it('MISCONF: its disk is gone, which its state shows as well', async () => {
    const { redis, store, folder } = await openOwn(['--save', '3600 1']);
    const held = await claim(store, await submit(store));
    expect((await store.readBrokerState()).snapshot_failed).toBe(false);
    rmSync(folder, { recursive: true });
    await redis.bgsave();
    await waitUntil('the snapshot has failed', async () => (await store.readBrokerState()).snapshot_failed);
    await expectAllRefused(store, /^MISCONF/, held);
    await redis.config('SET', 'stop-writes-on-bgsave-error', 'no');
    expect((await store.readBrokerState()).snapshot_failed).toBe(false);
    expect(await store.claims.settle(held, toSettlement('completed'))).toMatchObject({ kind: 'settled' });
  });

  it('BUSY: somebody runs a script without end', async () => {
    const { redis, store, url } = await openOwn();
    const held = await claim(store, await submit(store));
    const other = await connect(url);
    await redis.config('SET', 'lua-time-limit', '10');
    const endless = errorOf(other.eval('while true do end', 0));
    await waitUntil('it is busy', async () => isUnavailable(await errorOf(store.ping())));
    await expectAllRefused(store, /^BUSY/, held);
    await redis.script('KILL');
    await endless;
    expect(await store.claims.settle(held, toSettlement('completed'))).toMatchObject({ kind: 'settled' });
  });

  it('LOADING: it reads its data, slowly', async () => {
    const slow = [
      '--appendonly',
      'yes',
      '--key-load-delay',
      '50000',
      '--loading-process-events-interval-bytes',
      '1024',
    ];
    const own = await openOwn([...slow, '--save', '']);
    for (let i = 0; i < 10; i += 1) await Promise.all(Array.from({ length: 50 }, () => submit(own.store)));
    await own.redis.bgrewriteaof();
    await waitUntil('the file is rewritten', async () => /aof_rewrite_in_progress:0/.test(await own.redis.info()));
    own.broker.kill('SIGKILL');
    void own.start();
    const hasty = new Redis(own.url, { enableReadyCheck: false, maxRetriesPerRequest: 0, retryStrategy: () => 10 });
    hasty.on('error', () => {});
    onTestFinished(() => hasty.disconnect());
    const store = createStore(hasty, 'test');
    await waitUntil('it says that it loads', async () => {
      const error = (await errorOf(store.jobs.accept(toNewJob()))) as Error;
      expect(isUnavailable(error)).toBe(true);
      return /^LOADING/.test(error.message);
    });
  });

  it('has too many clients already', async () => {
    const { redis, store, url } = await openOwn();
    await redis.config('SET', 'maxclients', '1');
    const late = new Redis(url, { enableReadyCheck: false, maxRetriesPerRequest: 0 });
    late.on('error', () => {});
    onTestFinished(() => late.disconnect());
    expect(isUnavailable(await errorOf(late.ping()))).toBe(true);
    await redis.config('SET', 'maxclients', '100');
    expect((await store.jobs.accept(toNewJob())).replayed).toBe(false);
  });

  it('cuts every connection: requests fail or pass, steady work passes, and nothing is taken for an outcome', async () => {
    const { redis, store, url } = await openOwn();
    const admin = await connect(url);
    const steady = createStore(await connect(url), 'test');
    const requests = Array.from({ length: 200 }, () => errorOf(store.jobs.accept(toNewJob())));
    const patient = Array.from({ length: 200 }, () => steady.jobs.accept(toNewJob()));
    await admin.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
    const errors = (await Promise.all(requests)).filter((one) => one !== 'no error');
    expect(errors.filter((error) => !isUnavailable(error))).toEqual([]);
    const ids = (await Promise.all(patient)).map(({ job_id }) => job_id);
    expect((await steady.jobs.readMany(ids)).length).toBe(200);
    await waitUntil('the request connection is back', async () => redis.status === 'ready');
    expect((await store.jobs.accept(toNewJob())).replayed).toBe(false);
  });
});

describe('requireSafeBroker', () => {
  it('is content with a broker that keeps what it has', async () => {
    const { redis } = openTestStore('safe');
    await expect(requireSafeBroker(redis)).resolves.toBeUndefined();
  });

  it.skipIf(!program)('refuses one that evicts, and says which policy and what to do', async () => {
    const { redis, store } = await openOwn(['--save', '', '--maxmemory-policy', 'allkeys-lru']);
    const error = (await errorOf(requireSafeBroker(redis))) as Error;
    expect(error).toBeInstanceOf(UnsafeBrokerError);
    expect(error.message).toContain('maxmemory-policy allkeys-lru');
    expect(error.message).toContain('config set maxmemory-policy noeviction');
    expect((await store.readBrokerState()).eviction_policy).toBe('allkeys-lru');
    await redis.config('SET', 'maxmemory-policy', 'noeviction');
    await expect(requireSafeBroker(redis)).resolves.toBeUndefined();
  });
});
