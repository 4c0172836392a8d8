import { createStore, type Store } from '@berth/store';
import { describe, expect, it } from 'vitest';
import { openTestRedis, openTestStore, submit, toClaimant } from './open-test-store.js';

const A = toClaimant({ worker: 'a' });
const B = toClaimant({ worker: 'b' });

/** Two workers and an API, each with what it has seen itself, and a broker of which one can take beats away. */
const open = () => {
  const { store: a, redis, prefix } = openTestStore('past');
  const [b, api] = [createStore(openTestRedis(), prefix), createStore(openTestRedis(), prefix)];
  const forget = (beats: number) => redis.decrby(a.keys.beats, beats);
  const seeToIt = () => redis.del(a.keys.wentBack);
  return { a, b, api, redis, forget, seeToIt };
};
const beat = async (store: Store, by = A) => (await store.adoptions.beat(by, 'i')).went_back_at;

describe('a broker that goes back to an older state', () => {
  it('is noticed by who has seen more, at the next beat, and all hear of it until a person sees to it', async () => {
    const { a, b, api, forget, seeToIt } = open();
    expect([await beat(a), await beat(b, B), await beat(a), await api.readWentBack()]).toEqual([
      null,
      null,
      null,
      null,
    ]);
    await forget(1);
    const at = await beat(a);
    expect(Math.abs(Number(at) - Date.now())).toBeLessThan(60_000);
    expect(await beat(b, B)).toBe(at);
    expect(await api.readWentBack()).toBe(at);
    expect(await createStore(openTestRedis(), a.keys.prefix).readWentBack()).toBe(at);
    await seeToIt();
    expect([await beat(b, B), await beat(a), await api.readWentBack()]).toEqual([null, null, null]);
  });

  it('is noticed by an API that only looks', async () => {
    const { a, api, redis } = open();
    await beat(a);
    expect(await api.readWentBack()).toBeNull();
    await redis.del(a.keys.beats);
    expect(await api.readWentBack()).toBeGreaterThan(0);
    expect(await beat(a)).toBeGreaterThan(0);
  });

  it('gives no claim, not even one that comes before any beat, and keeps the job', async () => {
    const { a, forget, seeToIt } = open();
    await beat(a);
    await beat(a);
    const id = await submit(a);
    await forget(2);
    expect(await a.claims.claim(id, A)).toMatchObject({ kind: 'went_back', at: expect.any(Number) });
    expect(await a.jobs.read(id)).toMatchObject({ state: 'pending', epoch: 0 });
    await seeToIt();
    expect((await a.claims.claim(id, A)).kind).toBe('claimed');
  });

  it('lets running jobs be adopted, but none that has not started', async () => {
    const { a, b, forget } = open();
    await beat(a);
    await beat(b, B);
    const held = await Promise.all([1, 2].map(async () => a.claims.claim(await submit(a, { cpus: 0.1 }), A)));
    const [started, unstarted] = held.map((reply) => (reply.kind === 'claimed' ? reply.claim : undefined));
    if (!started || !unstarted) throw new Error('not claimed');
    await a.claims.start(started, 'sha256:abc');
    await a.adoptions.letGo([started, unstarted], A);
    await forget(1);
    expect(await b.adoptions.adopt(unstarted.job_id, B)).toBeUndefined();
    expect((await b.adoptions.adopt(started.job_id, B))?.claim.job_id).toBe(started.job_id);
    expect(await b.claims.renew([{ ...started, owner: 'b' }])).toEqual(['held']);
  });

  it('is none where answers come in another order, calls twice, or a worker comes after the others', async () => {
    const { a, b, api } = open();
    const together = await Promise.all(Array.from({ length: 50 }, (_, i) => beat(i % 2 ? a : b, i % 2 ? A : B)));
    expect(new Set(together)).toEqual(new Set([null]));
    const late = createStore(openTestRedis(), a.keys.prefix);
    expect([await beat(late, toClaimant({ worker: 'late' })), await api.readWentBack()]).toEqual([null, null]);
  });
});
