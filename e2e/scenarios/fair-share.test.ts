import { createStore, openRedis, type Store } from '@berth/store';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Berth, startBerth, until } from '../harness.js';

const SLOTS = 2;
const FLOOD = 300;

/** Two users and one machine with room for two jobs at a time. The first user came long before the second, with all that they have. */
describe('a user who comes after a flood', () => {
  let berth: Berth;
  let store: Store;
  let close = () => {};
  beforeAll(async () => {
    berth = await startBerth({ workers: 0, env: { BERTH_CPUS: String(SLOTS), BERTH_MEMORY_MB: '1024' } });
    const redis = openRedis(process.env.REDIS_URL ?? '', 'steady');
    close = () => redis.disconnect();
    store = createStore(redis, berth.prefix);
  });
  afterAll(async () => {
    close();
    await berth.close();
  });

  const openUser = async (user: string, role: 'user' | 'operator' = 'user') => {
    const { key } = await store.apiKeys.create({ user, role, expires_at: null });
    const request = (method: string, path: string, body?: unknown) =>
      berth.request(method, path, body, { authorization: `Bearer ${key}` });
    return {
      request,
      async submit(count: number): Promise<string[]> {
        const jobs = Array.from({ length: count }, () => ({ command: 'sleep 0.2', cpus: 1, memory_mb: 32 }));
        const { status, body } = await request('POST', '/v1/jobs:batch', { jobs });
        const results = body.results as { status: number; job: { job_id: string } }[];
        expect([status, ...new Set(results.map((one) => one.status))]).toEqual([200, 201]);
        return results.map(({ job }) => job.job_id);
      },
    };
  };

  const readStarts = async (ids: string[]): Promise<number[]> =>
    (await store.jobs.readMany(ids)).flatMap(({ first_started_at }) => first_started_at ?? []);

  it('is served within one service time: no more of the flood starts first than there are slots', async () => {
    const [operator, alice, bob] = [await openUser('root', 'operator'), await openUser('alice'), await openUser('bob')];
    await berth.startWorker();
    await until('the size of the cluster to be known', async () => {
      const { body } = await operator.request('GET', '/v1/fair-share');
      return (body.cluster as { cpus: number }).cpus === SLOTS ? true : undefined;
    });
    const flood = await alice.submit(FLOOD);
    await until('the flood to flow', async () => ((await readStarts(flood)).length >= 6 ? true : undefined), 90_000);

    const own = await bob.submit(10);
    // From here on none of the flood is drawn before bob's; as many as there are slots were drawn, and not started.
    const came = Date.now();
    await until(
      'bob’s first job to start',
      async () => ((await readStarts(own)).length > 0 ? true : undefined),
      60_000,
    );
    await until(
      'bob’s jobs to have started',
      async () => ((await readStarts(own)).length === 10 ? true : undefined),
      90_000,
    );
    await Promise.all(flood.map((id) => store.jobs.cancel(id)));

    // Until the first of bob's jobs has ended it is charged as if it lasted for a minute, and the flood goes on beside it.
    const served = await until('bob’s first job to have ended', async () => {
      const ends = (await store.jobs.readMany(own)).flatMap(({ finished_at }) => finished_at ?? []);
      return ends.length > 0 ? Math.min(...ends) : undefined;
    });
    const starts = (await readStarts(own)).sort((a, b) => a - b);
    const floods = await readStarts(flood);
    const between = floods.filter((at) => at > came && at < (starts[0] ?? 0));
    expect(between.length).toBeLessThanOrEqual(SLOTS);
    const meanwhile = floods.filter((at) => at > served && at < (starts[4] ?? 0));
    expect(meanwhile.length).toBeLessThanOrEqual(5);

    const { body } = await operator.request('GET', '/v1/fair-share');
    expect((body.users as { user: string }[]).map(({ user }) => user).sort()).toEqual(['alice', 'bob']);
    await until('everything to end', async () => {
      const { pending, running } = await store.list.countByState(['pending', 'running']);
      return pending + running === 0 ? true : undefined;
    });
  });
});
