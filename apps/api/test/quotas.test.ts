import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { claimJob, expectProblem, openTestApi, settleJob, type TestApi } from './open-test-api.js';
import { openUser, type TestUser } from './open-users.js';

describe('/v1/quotas', () => {
  let api: TestApi;
  let operator: TestUser;
  let alice: TestUser;
  beforeAll(async () => {
    api = await openTestApi('quotas');
    operator = await openUser(api, 'root', 'operator');
    alice = await openUser(api, 'alice');
  });
  afterEach(async () => {
    for (const { target } of await api.store.quotas.list()) await api.store.quotas.remove(target);
  });
  afterAll(() => api.close());

  it('are set, shown with what is used, replaced and taken away by operators', async () => {
    const id = await alice.submit();
    const set = await operator.send('PUT', '/v1/quotas', { body: { user: 'alice', max_running: 2, max_cpus: 1.5 } });
    expect(set.status).toBe(200);
    const used = { running: 0, cpus: 0, memory_mb: 0, gpus: 0, pending: 1 };
    expect(set.body).toEqual({ user: 'alice', max_running: 2, max_cpus: 1.5, used });
    const claim = await claimJob(api.store, id);
    await operator.send('PUT', '/v1/quotas', { body: { user: 'alice', max_running: 3 } });
    const { body } = await operator.send('GET', '/v1/quotas');
    expect(body.quotas).toEqual([
      { user: 'alice', max_running: 3, used: { running: 1, cpus: 1, memory_mb: 256, gpus: 0, pending: 0 } },
    ]);
    await settleJob(api.store, claim);
    expect((await operator.send('DELETE', '/v1/quotas?user=alice')).status).toBe(204);
    expect((await operator.send('DELETE', '/v1/quotas?user=alice')).status).toBe(404);
  });

  it.each([
    { user: '*', max_running: 1 },
    { user: 'alice', class: 'small', max_cpus: 1.5 },
    { class: 'small', max_memory_mb: 300 },
  ])('with no room for a job say so of it and its like until there is: %j', async (quota) => {
    const [running, waiting, held, small] = [
      await alice.submit(),
      await alice.submit(),
      await alice.submit({ hold: true }),
      await alice.submit({ cpus: 0.1, memory_mb: 16 }),
    ];
    const others = await operator.submit();
    const claim = await claimJob(api.store, running);
    const readAll = async () => {
      const { body } = await operator.send('GET', '/v1/jobs?limit=5');
      return Object.fromEntries(
        body.jobs.map((one: { job_id: string; waiting_for: string }) => [one.job_id, one.waiting_for]),
      );
    };
    const ids = [running, waiting, held, small, others];
    const before = Object.fromEntries(ids.map((id) => [id, id === held ? 'hold' : null]));
    expect(await readAll()).toEqual(before);
    await operator.send('PUT', '/v1/quotas', { body: quota });
    const bound = {
      ...before,
      [waiting]: 'quota',
      [small]: quota.max_running ? 'quota' : null,
      [others]: quota.user === undefined ? 'quota' : null,
    };
    expect(await readAll()).toEqual(bound);
    for (const id of ids) expect((await operator.send('GET', `/v1/jobs/${id}`)).body.waiting_for).toBe(bound[id]);
    await settleJob(api.store, claim);
    expect(await readAll()).toEqual(before);
    for (const id of ids.slice(1)) await operator.send('POST', `/v1/jobs/${id}/cancel`);
  });

  it('are shown to a user where they bind them, and changed by operators only', async () => {
    for (const target of [
      { user: 'alice' },
      { user: 'bob' },
      { user: '*' },
      { class: 'small' },
      { user: 'bob', class: 'small' },
    ]) {
      await operator.send('PUT', '/v1/quotas', { body: { ...target, max_running: 5 } });
    }
    const { body } = await alice.send('GET', '/v1/quotas');
    expect(body.quotas.map(({ user, class: name }: { user?: string; class?: string }) => [user, name])).toEqual([
      [undefined, 'small'],
      ['*', undefined],
      ['alice', undefined],
    ]);
    for (const reply of [
      await alice.send('PUT', '/v1/quotas', { body: { user: 'alice', max_running: 9 } }),
      await alice.send('DELETE', '/v1/quotas?user=alice'),
      await alice.send('GET', '/v1/fair-share'),
      await alice.send('PUT', '/v1/fair-share', { body: { weights: { alice: 9 } } }),
    ]) {
      expectProblem(reply);
      expect(reply.status).toBe(403);
    }
  });

  it.each([
    ['names nobody', { max_running: 1 }, '$'],
    ['sets nothing', { user: 'alice' }, '$'],
    ['names no class that there is', { class: 'huge', max_running: 1 }, '$.class'],
    ['names what cannot be a user', { user: 'a/b', max_running: 1 }, '$.user'],
    ['limits what there is not', { user: 'alice', max_running: 1, max_disks: 1 }, '$.max_disks'],
    ['is less than nothing', { user: 'alice', max_pending: -1 }, '$.max_pending'],
  ])('are refused where one %s', async (_name, body, path) => {
    const reply = await operator.send('PUT', '/v1/quotas', { body });
    expectProblem(reply);
    expect(reply.status).toBe(400);
    expect(reply.body.errors.map((one: { path: string }) => one.path)).toEqual([path]);
  });

  it('refuse one pending job too many with 429, and say when to come again', async () => {
    await operator.send('PUT', '/v1/quotas', { body: { user: '*', max_pending: 1 } });
    const id = await alice.submit();
    const reply = await alice.send('POST', '/v1/jobs', { body: { command: 'true' } });
    expectProblem(reply);
    expect(reply).toMatchObject({ status: 429, body: { code: 'over_quota', group: 'user/alice' } });
    expect(Number(reply.headers['retry-after'])).toBeGreaterThan(0);
    await alice.send('POST', `/v1/jobs/${id}/cancel`);
    await alice.submit();
  });

  it('let exactly one of fifty submits in that come at a time to two replicas', async () => {
    const other = await openTestApi('quotas', { prefix: api.store.keys.prefix });
    const carol = await openUser(api, 'carol');
    await operator.send('PUT', '/v1/quotas', { body: { user: 'carol', max_pending: 10 } });
    for (let i = 0; i < 9; i += 1) await carol.submit({ hold: true });
    const send = (to: TestApi) =>
      to.send('POST', '/v1/jobs', {
        body: { command: 'true', hold: true },
        headers: { authorization: carol.authorization },
      });
    const replies = await Promise.all(Array.from({ length: 50 }, (_, i) => send(i % 2 === 0 ? api : other)));
    const statuses = replies.map(({ status }) => status).sort();
    expect(statuses).toEqual([201, ...Array.from({ length: 49 }, () => 429)]);
    await other.end();
  });
});

describe('/v1/fair-share', () => {
  let api: TestApi;
  let operator: TestUser;
  beforeAll(async () => {
    api = await openTestApi('fair-share');
    operator = await openUser(api, 'root', 'operator');
    await api.store.shares.setCluster({ centicpus: 1_000, memory_mb: 100_000, gpus: 0 });
  });
  afterAll(() => api.close());

  it('shows who has used how much, whose turn it is, and takes weights and half-life', async () => {
    const alice = await openUser(api, 'alice');
    const bob = await openUser(api, 'bob');
    await claimJob(api.store, await alice.submit());
    await claimJob(api.store, await alice.submit());
    await claimJob(api.store, await bob.submit());
    const { body } = await operator.send('GET', '/v1/fair-share');
    expect(body).toMatchObject({ half_life_seconds: 86_400, cluster: { cpus: 10, memory_mb: 100_000, gpus: 0 } });
    expect(body.users).toMatchObject([
      { user: 'bob', weight: 1, entitled: 0.5, rank: 1 },
      { user: 'alice', weight: 1, entitled: 0.5, rank: 2 },
    ]);
    expect(body.users[1].share).toBeCloseTo(2 / 3, 2);
    const changed = await operator.send('PUT', '/v1/fair-share', {
      body: { half_life_seconds: 3_600, weights: { alice: 4 } },
    });
    expect(changed.body.half_life_seconds).toBe(3_600);
    expect(changed.body.users).toMatchObject([
      { user: 'alice', weight: 4, entitled: 0.8, rank: 1 },
      { user: 'bob', weight: 1, entitled: 0.2, rank: 2 },
    ]);
    expect(changed.body.users[0].use / body.users[1].use).toBeCloseTo(1, 2);
  });

  it('takes no name of a user for anything but a name', async () => {
    const oddlyNamed = await openUser(api, 'constructor');
    await claimJob(api.store, await oddlyNamed.submit());
    const { body } = await operator.send('GET', '/v1/fair-share');
    expect(body.users.find(({ user }: { user: string }) => user === 'constructor')).toMatchObject({ weight: 1 });
    for (const one of body.users) expect(one.entitled).toBeGreaterThan(0);
  });

  it.each([{ half_life_seconds: 1 }, { weights: { alice: 0 } }, { weights: { 'a/b': 1 } }, { half_life: 60 }])(
    'refuses %j',
    async (body) => {
      const reply = await operator.send('PUT', '/v1/fair-share', { body });
      expectProblem(reply);
      expect(reply.status).toBe(400);
    },
  );
});
