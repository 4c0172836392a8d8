import { type Claim, createStore, LEASE_MS, SILENT_MS, type Store } from '@berth/store';
import { describe, expect, it } from 'vitest';
import { claim, historyOf, openTestRedis, openTestStore, submit, toClaimant, toSettlement } from './open-test-store.js';

const A = toClaimant({ worker: 'a' });
const B = toClaimant({ worker: 'b' });
const AFAR = toClaimant({ worker: 'c', engine: 'engine-2', node: 'node-2' });

const open = () => {
  const { store, redis, prefix } = openTestStore('adoptions');
  /** As if the worker had given its last sign of life so long ago. */
  const silence = (worker: string, ms: number) => redis.zadd(store.keys.aliveOn('engine-1'), Date.now() - ms, worker);
  const lapse = (job_id: string) => redis.zadd(store.keys.leases, Date.now() - 1, job_id);
  return { store, redis, prefix, silence, lapse };
};

/** Done anew where it took so long that silence by then meant another. */
const soon = async <T>(work: () => Promise<T>): Promise<T> => {
  for (;;) {
    const began = Date.now();
    const result = await work();
    if (Date.now() - began < SILENT_MS / 3) return result;
  }
};

/** A job that `a`, who lives, has claimed and started. */
const startJob = async (store: Store): Promise<Claim> => {
  await store.adoptions.beat(A, 'i');
  const held = await claim(store, await submit(store), A);
  await store.claims.start(held, 'sha256:abc');
  return held;
};

describe('a running job', () => {
  it('stays with an owner that lives and renews', async () => {
    const { store, silence } = open();
    const { job_id } = await startJob(store);
    const orphans = await soon(async () => {
      await silence('a', SILENT_MS - 1_000);
      return store.adoptions.findOrphans(B);
    });
    expect(orphans).toEqual([]);
    await silence('a', 0);
    expect(await store.adoptions.adopt(job_id, B)).toBeUndefined();
    expect(await store.jobs.read(job_id)).toMatchObject({ owner: 'a', epoch: 1 });
  });

  it.each(['silent', 'lapsed', 'let go'])(
    'of an owner that is %s goes to a neighbour, under the same epoch',
    async (how) => {
      const { store, silence, lapse, redis } = open();
      const held = await startJob(store);
      if (how === 'silent') await silence('a', SILENT_MS + 1_000);
      if (how === 'lapsed') await lapse(held.job_id);
      if (how === 'let go') expect(await store.adoptions.letGo([held], A)).toBe(1);
      expect(await store.adoptions.findOrphans(B)).toEqual([held.job_id]);
      expect(await store.adoptions.findOrphans(AFAR)).toEqual([]);
      const before = Date.now();
      const adoption = await store.adoptions.adopt(held.job_id, B);
      expect(adoption).toMatchObject({ claim: { ...held, owner: 'b' }, image_digest: 'sha256:abc', intent: undefined });
      expect(adoption?.ran_ms).toBeGreaterThanOrEqual(0);
      expect(await store.jobs.read(held.job_id)).toMatchObject({
        owner: 'b',
        epoch: 1,
        state: 'running',
        attempts: [],
      });
      expect(await historyOf(store, held.job_id)).toEqual(['submitted', 'claimed', 'started', 'adopted']);
      expect(await store.workers.readReserved('engine-1')).toEqual({ centicpus: 100, memory_mb: 256, gpus: 0 });
      const lease = Number(await redis.zscore(store.keys.leases, held.job_id)) - LEASE_MS;
      expect(lease).toBeGreaterThanOrEqual(before);
      expect(lease).toBeLessThanOrEqual(Date.now());
    },
  );

  it('goes to a worker of its own engine only', async () => {
    const { store } = open();
    const held = await startJob(store);
    await store.adoptions.letGo([held], A);
    expect(await store.adoptions.adopt(held.job_id, AFAR)).toBeUndefined();
    expect(await store.jobs.read(held.job_id)).toMatchObject({ owner: null, node: 'node-1' });
  });

  it('goes to one of many that try, and a repeat by that one gets the same answer', async () => {
    const { store, prefix, silence } = open();
    const other = createStore(openTestRedis(), prefix);
    const held = await startJob(store);
    await store.adoptions.letGo([held], A);
    const tries = Array.from({ length: 20 }, (_, i) => toClaimant({ worker: `w${i}` }));
    // Alive for a good while to come, however long the tries take.
    for (const { worker } of tries) await silence(worker, -60_000);
    const replies = await Promise.all(tries.map((by, i) => (i % 2 ? store : other).adoptions.adopt(held.job_id, by)));
    const [winner, ...more] = replies.filter((reply) => reply !== undefined);
    expect(more).toEqual([]);
    const again = await store.adoptions.adopt(held.job_id, toClaimant({ worker: winner?.claim.owner ?? '' }));
    expect(again?.claim).toEqual(winner?.claim);
    expect((await historyOf(store, held.job_id)).filter((type) => type === 'adopted')).toHaveLength(1);
  });

  it('that has moved takes nothing more from its former owner', async () => {
    const { store } = open();
    const held = await startJob(store);
    await store.adoptions.letGo([held], A);
    const adopted = (await store.adoptions.adopt(held.job_id, B))?.claim as Claim;
    expect(await store.claims.renew([held])).toEqual(['moved']);
    expect(await store.claims.start(held, 'sha256:x')).toBe('stale');
    expect(await store.claims.intend(held, 'timeout')).toBe('stale');
    expect(await store.adoptions.letGo([held], A)).toBe(0);
    for (const type of ['completed', 'failed', 'retried', 'released', 'lost'] as const) {
      expect(await store.claims.settle(held, toSettlement(type))).toEqual({ kind: 'stale', state: 'running' });
    }
    expect(await store.claims.renew([adopted])).toEqual(['held']);
    expect(await store.claims.settle(adopted, toSettlement('completed'))).toEqual({
      kind: 'settled',
      state: 'completed',
    });
    expect(await store.adoptions.adopt(held.job_id, B)).toBeUndefined();
    expect(await store.adoptions.findOrphans(A)).toEqual([]);
  });

  it('is found by its own owner too, where that one does not renew it', async () => {
    const { store, lapse } = open();
    const held = await startJob(store);
    expect(await store.adoptions.findOrphans(A)).toEqual([]);
    await lapse(held.job_id);
    expect(await store.adoptions.findOrphans(A)).toEqual([held.job_id]);
    expect((await store.adoptions.adopt(held.job_id, A))?.claim).toEqual(held);
    expect(await store.adoptions.findOrphans(A)).toEqual([]);
  });

  it('brings along that it was to be cancelled, or had run too long', async () => {
    const { store } = open();
    const [timed, cancelled] = [await startJob(store), await startJob(store)];
    expect(await store.claims.intend(timed, 'timeout')).toBe('timeout');
    await store.jobs.cancel(cancelled.job_id);
    expect(await store.claims.intend(cancelled, 'timeout')).toBe('cancel');
    await store.adoptions.letGo([timed, cancelled], A);
    expect((await store.adoptions.adopt(timed.job_id, B))?.intent).toBe('timeout');
    expect((await store.adoptions.adopt(cancelled.job_id, B))?.intent).toBe('cancel');
  });

  it('that was claimed and not started says so', async () => {
    const { store } = open();
    const held = await claim(store, await submit(store), A);
    await store.adoptions.letGo([held], A);
    expect(await store.adoptions.adopt(held.job_id, B)).toMatchObject({ ran_ms: null, image_digest: null });
  });

  it('does not keep the intent of one attempt for the next', async () => {
    const { store } = open();
    const held = await startJob(store);
    await store.claims.intend(held, 'timeout');
    await store.claims.settle(held, toSettlement('lost'));
    const next = await claim(store, held.job_id, A);
    expect(await store.claims.intend(next, 'timeout')).toBe('timeout');
    await store.adoptions.letGo([next], A);
    expect((await store.adoptions.adopt(held.job_id, B))?.claim.epoch).toBe(2);
  });
});

describe('a job whose owners die as soon as they have it', () => {
  it('is lost after three of them, and ends as poison after three such epochs', async () => {
    const { store, silence } = open();
    const id = await submit(store);
    const history: string[] = [];
    for (let epoch = 1; epoch <= 3; epoch += 1) {
      await store.adoptions.beat(A, 'i');
      await claim(store, id, A);
      for (const [dead, by] of [
        ['a', B],
        ['b', A],
      ] as const) {
        await silence(dead, SILENT_MS + 1_000);
        await store.adoptions.beat(by, 'i');
        expect((await store.adoptions.adopt(id, by))?.claim.epoch).toBe(epoch);
      }
      await silence('a', SILENT_MS + 1_000);
      await store.adoptions.beat(B, 'i');
      const doomed = await store.adoptions.adopt(id, B);
      expect(doomed).toMatchObject({ doomed: true, claim: { epoch } });
      expect((await store.adoptions.adopt(id, B))?.doomed).toBe(true);
      const lost = toSettlement('lost', { cause: 'node_lost' });
      await store.claims.settle(doomed?.claim as Claim, lost);
      history.push((await store.jobs.read(id))?.state ?? '');
    }
    expect(history).toEqual(['pending', 'pending', 'failed']);
    expect(await store.jobs.read(id)).toMatchObject({ cause: 'poison', epoch: 3, attempt: 1 });
    expect(await store.workers.readReserved('engine-1')).toEqual({ centicpus: 0, memory_mb: 0, gpus: 0 });
  });

  it('is lost only after twenty where it runs: it may be another job that kills them', async () => {
    const { store, silence } = open();
    const { job_id } = await startJob(store);
    for (let deaths = 1; deaths < 20; deaths += 1) {
      const [dead, by] = deaths % 2 ? (['a', B] as const) : (['b', A] as const);
      await silence(dead, SILENT_MS + 1_000);
      await store.adoptions.beat(by, 'i');
      expect((await store.adoptions.adopt(job_id, by))?.doomed).toBe(false);
    }
    await silence('b', SILENT_MS + 1_000);
    expect((await store.adoptions.adopt(job_id, A))?.doomed).toBe(true);
  });

  it('is not lost by owners that died late, or let it go', async () => {
    const { store, silence, redis } = open();
    const { job_id } = await startJob(store);
    for (let round = 0; round < 10; round += 1) {
      const [dead, by] = round % 2 ? (['b', A] as const) : (['a', B] as const);
      await redis.hset(store.keys.job(job_id), 'owned_since', Date.now() - 60_000);
      await silence(dead, SILENT_MS + 1_000);
      expect((await store.adoptions.adopt(job_id, by))?.claim.epoch).toBe(1);
    }
  });
});

describe('let go', () => {
  it('keeps other machines away for as long as a restart takes', async () => {
    const { store, redis } = open();
    const held = await startJob(store);
    await store.adoptions.letGo([held], A);
    expect(Number(await redis.zscore(store.keys.leases, held.job_id)) - Date.now()).toBeGreaterThan(4 * 60_000);
    expect(await store.claims.expire(Date.now())).toEqual([]);
  });
});

describe('a sign of life', () => {
  it('tells who has fallen silent and how many other machines there are', async () => {
    const pulses = await soon(async () => {
      const { store, silence } = open();
      const first = await store.adoptions.beat(A, 'i');
      await silence('dead', SILENT_MS + 1_000);
      await silence('slow', SILENT_MS - 1_000);
      await silence('long-dead', 120_000);
      const later: unknown[] = [];
      for (const by of [AFAR, A, A]) later.push(await store.adoptions.beat(by, 'i'));
      return [first, ...later];
    });
    expect(pulses).toMatchObject([
      { other_engines: 0, silent: [] },
      { other_engines: 1, silent: [] },
      { other_engines: 1, silent: ['long-dead', 'dead'] },
      { other_engines: 1, silent: ['dead'] },
    ]);
  });

  it('keeps the name of the installation in a broker that lost it, and tells it to whoever has another', async () => {
    const { store, redis } = open();
    const name = await store.readInstallation();
    expect((await store.adoptions.beat(A, name)).installation).toBe(name);
    await redis.del(store.keys.installation);
    expect((await store.adoptions.beat(A, name)).installation).toBe(name);
    expect((await store.adoptions.beat(B, 'another')).installation).toBe(name);
    expect(await store.readInstallation()).toBe(name);
  });
});
