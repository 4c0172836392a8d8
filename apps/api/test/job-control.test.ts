import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { claimJob, expectProblem, findQueues, openTestApi, settleJob, type TestApi, until } from './open-test-api.js';
import { openUser, type TestUser } from './open-users.js';

describe('hold, release, priority and requeue', () => {
  let api: TestApi;
  let alice: TestUser;
  let bob: TestUser;
  beforeAll(async () => {
    api = await openTestApi('control');
    alice = await openUser(api, 'alice');
    bob = await openUser(api, 'bob');
  });
  afterAll(() => api.close());

  const finish = async (id: string) => settleJob(api.store, await claimJob(api.store, id));

  it('holds a job with its message, and releases it', async () => {
    const id = await alice.submit();
    await until('its message', async () => (await findQueues(api, id)).length === 1);
    const held = await alice.send('POST', `/v1/jobs/${id}/hold`);
    expect(held).toMatchObject({ status: 200, body: { state: 'pending', waiting_for: 'hold' } });
    await until('its message to be gone', async () => (await findQueues(api, id)).length === 0);
    const released = await alice.send('POST', `/v1/jobs/${id}/release`, { body: {} });
    expect(released).toMatchObject({ status: 200, body: { state: 'pending', waiting_for: null } });
    await until('its message', async () => (await findQueues(api, id)).length === 1);
  });

  it('accepts a job that is held from the start', async () => {
    const id = await alice.submit({ hold: true });
    const { body } = await alice.send('GET', `/v1/jobs/${id}`);
    expect(body).toMatchObject({ state: 'pending', waiting_for: 'hold', spec: { hold: true } });
    const events = await alice.send('GET', `/v1/jobs/${id}/events`);
    expect(events.status).toBe(200);
  });

  it('changes the priority of a pending job, and leaves what was submitted as it was', async () => {
    const id = await alice.submit({ priority: 20 });
    const { status, body } = await alice.send('PATCH', `/v1/jobs/${id}`, { body: { priority: 80 } });
    expect(status).toBe(200);
    expect(body).toMatchObject({ priority: 80, spec: { priority: 20 } });
    const [first] = await api.store.jobs.readHistory(id, 1);
    expect(first).toMatchObject({ type: 'reprioritized', data: { from: 20, to: 80 } });
  });

  it.each([{}, { priority: 101 }, { priority: 'high' }, { priority: 5, name: 'x' }, []])(
    'refuses the change %j',
    async (body) => {
      const id = await alice.submit();
      const reply = await alice.send('PATCH', `/v1/jobs/${id}`, { body });
      expectProblem(reply);
      expect(reply.status).toBe(400);
    },
  );

  it('refuses what comes too late, and says what the job is', async () => {
    const id = await alice.submit();
    const claim = await claimJob(api.store, id);
    const tryAll = () =>
      Promise.all([
        alice.send('POST', `/v1/jobs/${id}/hold`),
        alice.send('POST', `/v1/jobs/${id}/release`),
        alice.send('PATCH', `/v1/jobs/${id}`, { body: { priority: 1 } }),
      ]);
    const requeue = await alice.send('POST', `/v1/jobs/${id}/requeue`);
    for (const reply of [...(await tryAll()), requeue]) {
      expectProblem(reply);
      expect(reply).toMatchObject({ status: 409, body: { code: 'conflict', state: 'running' } });
    }
    await settleJob(api.store, claim);
    for (const reply of await tryAll()) {
      expect(reply).toMatchObject({ status: 409, body: { code: 'conflict', state: 'completed' } });
    }
  });

  it('runs a finished job once more, as a new job with the same spec, once for an Idempotency-Key', async () => {
    const spec = { command: ['echo', 'x'], labels: { team: 'a' }, cpus: 0.5, name: 'n', hold: true };
    const id = await alice.submit(spec);
    await alice.send('POST', `/v1/jobs/${id}/release`);
    await finish(id);
    const headers = { 'idempotency-key': 'again' };
    const made = await alice.send('POST', `/v1/jobs/${id}/requeue`, { headers });
    expect(made.status).toBe(201);
    expect(made.headers.location).toBe(`/v1/jobs/${made.body.job_id}`);
    expect(made.body).toMatchObject({ state: 'pending', user: 'alice', requeued_from: id, waiting_for: null });
    const { body: old } = await alice.send('GET', `/v1/jobs/${id}`);
    const { hold: _, ...same } = old.spec;
    expect(made.body.spec).toEqual(same);
    expect((await alice.send('GET', `/v1/jobs/${made.body.job_id}`)).body.requeued_from).toBe(id);
    const again = await alice.send('POST', `/v1/jobs/${id}/requeue`, { headers });
    expect(again).toMatchObject({ status: 200, body: { job_id: made.body.job_id } });
    expect(again.headers['idempotent-replayed']).toBe('true');
    const another = await alice.send('POST', `/v1/jobs/${id}/requeue`);
    expect(another.status).toBe(201);
    expect(another.body.job_id).not.toBe(made.body.job_id);
    const other = await alice.submit();
    await finish(other);
    expect((await alice.send('POST', `/v1/jobs/${other}/requeue`, { headers })).status).toBe(422);
  });

  it('does not exist for another user', async () => {
    const id = await alice.submit();
    const done = await alice.submit();
    await finish(done);
    for (const reply of [
      await bob.send('POST', `/v1/jobs/${id}/hold`),
      await bob.send('POST', `/v1/jobs/${id}/release`),
      await bob.send('PATCH', `/v1/jobs/${id}`, { body: { priority: 1 } }),
      await bob.send('POST', `/v1/jobs/${done}/requeue`),
    ]) {
      expectProblem(reply);
      expect(reply.status).toBe(404);
    }
    expect((await api.store.jobs.readHistory(id)).map(({ type }) => type)).toEqual(['submitted']);
  });

  it('takes no options with a hold, a release or a requeue', async () => {
    const id = await alice.submit();
    for (const what of ['hold', 'release', 'requeue']) {
      const reply = await alice.send('POST', `/v1/jobs/${id}/${what}`, { body: { until: 'tomorrow' } });
      expect(reply.status).toBe(400);
    }
  });
});
