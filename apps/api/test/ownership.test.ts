import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createApp } from '../src/app.js';
import { openTestApi, type TestApi, until } from './open-test-api.js';
import { openUser, type TestUser, toSeen } from './open-users.js';

let api: TestApi;
let alice: TestUser;
let bob: TestUser;
let operator: TestUser;
let early: string;
beforeAll(async () => {
  api = await openTestApi('ownership');
  early = await api.submit({ name: 'early' });
  alice = await openUser(api, 'alice');
  bob = await openUser(api, 'bob');
  operator = await openUser(api, 'root', 'operator');
});
afterAll(() => api?.close());

const WORKLOAD = { docker_image: 'busybox:stable', command: ['true'], cpu_cores: 1, memory_gb: 1 };

const submitKept = async (user: TestUser, body: object): Promise<string> => {
  const reply = await user.send('POST', '/jobs', { body });
  if (reply.status > 201) throw new Error(`expected a job, got ${reply.status}: ${reply.text}`);
  return reply.body.job_id;
};

/** As good an id as the job's, of no job. */
const toMissing = (job_id: string): string => `${job_id.slice(0, -1)}${job_id.endsWith('0') ? '1' : '0'}`;

const listIds = async (user: TestUser, query = ''): Promise<string[]> => {
  const { status, body } = await user.send('GET', `/v1/jobs${query}`);
  expect(status).toBe(200);
  return body.jobs.map((job: { job_id: string }) => job.job_id);
};

describe("another user's job", () => {
  const ROUTES = [
    ['GET', '/v1/jobs/{id}'],
    ['GET', '/v1/jobs/{id}?wait=1'],
    ['GET', '/v1/jobs/{id}/logs'],
    ['GET', '/v1/jobs/{id}/logs?tail=1&follow=true'],
    ['GET', '/v1/jobs/{id}/events'],
    ['POST', '/v1/jobs/{id}/cancel'],
    ['GET', '/jobs/{id}'],
    ['DELETE', '/jobs/{id}'],
  ] as const;

  it.each([
    ['v1', () => alice.submit({ name: 'mine' })],
    ['coordinator', () => submitKept(alice, { command: 'true' })],
    ['workload', () => submitKept(alice, WORKLOAD)],
  ])('is none, to the byte, where it came in by %s', async (_format, submit) => {
    const theirs = await submit();
    const missing = toMissing(theirs);
    for (const [method, path] of ROUTES) {
      for (const accept of ['*/*', 'text/event-stream']) {
        const ask = async (id: string) =>
          toSeen(await bob.send(method, path.replace('{id}', id), { headers: { accept } }));
        const [other, none] = [await ask(theirs), await ask(missing)];
        expect(other.status, path).toBe(404);
        expect({ ...other, text: other.text.replaceAll(theirs, missing) }, `${method} ${path}`).toEqual(none);
      }
    }
    expect((await alice.send('GET', `/v1/jobs/${theirs}`)).body).toMatchObject({ user: 'alice', state: 'pending' });
    expect((await operator.send('GET', `/v1/jobs/${theirs}`)).body).toMatchObject({ user: 'alice', state: 'pending' });
  });

  it('is none on every route that names a job, whatever it is for', async () => {
    const theirs = await alice.submit();
    const missing = toMissing(theirs);
    const routes = createApp(api.context).routes.filter(
      ({ method, path }) => method !== 'ALL' && path.includes('/jobs/:id'),
    );
    expect(routes.length).toBeGreaterThan(6);
    for (const { method, path } of routes) {
      const ask = async (id: string) =>
        toSeen(await bob.send(method, path.replace(':id', id), method === 'GET' ? {} : { body: {} }));
      const [other, none] = [await ask(theirs), await ask(missing)];
      expect({ ...other, text: other.text.replaceAll(theirs, missing) }, `${method} ${path}`).toEqual(none);
      expect(other.status, `${method} ${path}`).toBeGreaterThanOrEqual(400);
    }
    expect((await alice.send('GET', `/v1/jobs/${theirs}`)).body).toMatchObject({ state: 'pending', priority: 50 });
  });

  it('cannot be waited for, and an array of theirs is none either', async () => {
    const theirs = await alice.submit();
    const after = (job: string) => ({ command: 'true', after: [{ job, condition: 'finished' }] });
    const ask = async (id: string) => toSeen(await bob.send('POST', '/v1/jobs', { body: after(id) }));
    const [other, none] = [await ask(theirs), await ask(toMissing(theirs))];
    expect({ ...other, text: other.text.replaceAll(theirs, toMissing(theirs)) }).toEqual(none);
    expect(other.status).toBeGreaterThanOrEqual(400);
    const made = await alice.send('POST', '/v1/jobs', { body: { command: 'true', array: { size: 3 } } });
    expect(made.status).toBe(201);
    const id = made.body.array_id ?? made.body.job_id;
    expect((await alice.send('GET', `/v1/arrays/${id}`)).status).toBe(200);
    expect((await bob.send('GET', `/v1/arrays/${id}`)).status).toBe(404);
    expect((await bob.send('GET', '/v1/arrays')).text).not.toContain(id);
  });

  it('is on no list, and on no list that is filtered', async () => {
    const mine = await alice.submit({ name: 'shared name', labels: { team: 'blue' } });
    const theirs = await bob.submit({ name: 'shared name', labels: { team: 'blue' } });
    const kept = await submitKept(bob, WORKLOAD);
    for (const query of ['', '?name=shared%20name', '?label=team%3Dblue', '?state=pending', '?user=alice']) {
      const ids = await listIds(alice, query);
      expect(ids, query).toContain(mine);
      for (const id of [theirs, kept, early]) expect(ids, query).not.toContain(id);
    }
    const read = async (user: TestUser, query: string): Promise<string[]> =>
      (await user.send('GET', `/jobs${query}`)).body.map((job: { job_id: string }) => job.job_id);
    for (const query of ['', '?status_filter=pending', '?limit=1000']) {
      expect(await read(bob, query)).toEqual([kept]);
      expect(await read(alice, query)).not.toContain(kept);
      expect(await read(operator, query)).toContain(kept);
    }
  });

  it('is cancelled by its user and by operators', async () => {
    const [first, second] = [await alice.submit(), await submitKept(alice, WORKLOAD)];
    expect((await operator.send('POST', `/v1/jobs/${first}/cancel`)).body).toMatchObject({ state: 'cancelled' });
    expect((await alice.send('DELETE', `/jobs/${second}`)).status).toBe(200);
  });
});

describe('an operator', () => {
  it("lists everybody's jobs, or one user's, with those from before there were keys", async () => {
    const [of_alice, of_bob] = [await alice.submit(), await bob.submit()];
    const all = await listIds(operator, '?limit=200');
    for (const id of [of_alice, of_bob, early]) expect(all).toContain(id);
    const bobs = await listIds(operator, '?user=bob&limit=200');
    expect(bobs).toContain(of_bob);
    expect(bobs).not.toContain(of_alice);
    expect(await listIds(operator, '?user=local')).toEqual([early]);
    expect(await listIds(operator, '?user=nobody')).toEqual([]);
    const pages: string[] = [];
    for (let cursor: string | null = ''; cursor !== null; ) {
      const page: { body: { jobs: { job_id: string }[]; next_cursor: string | null } } = await operator.send(
        'GET',
        `/v1/jobs?user=bob&limit=1${cursor === '' ? '' : `&cursor=${cursor}`}`,
      );
      pages.push(...page.body.jobs.map(({ job_id }) => job_id));
      cursor = page.body.next_cursor;
    }
    expect(pages).toEqual(bobs);
  });

  it('alone may do what concerns everybody', async () => {
    const forbidden = { status: 403, body: { code: 'forbidden' } };
    expect(await alice.send('GET', '/v1/jobs?user=bob')).toMatchObject(forbidden);
    expect(await alice.send('GET', '/v1/jobs?user=nobody')).toMatchObject(forbidden);
    expect(await alice.send('GET', '/dashboard')).toMatchObject(forbidden);
    for (const path of ['/schedule', '/cleanup']) {
      const reply = await alice.send('POST', path);
      expect(reply).toMatchObject({ status: 403, body: { detail: expect.stringMatching(/operators/) } });
      expect((await operator.send('POST', path)).status).toBe(200);
    }
    for (const path of ['/v1/nodes', '/v1/classes', '/v1/stats', '/executors', '/stats']) {
      expect((await alice.send('GET', path)).status).toBe(200);
    }
  });
});

describe('a submission', () => {
  it("is its user's, whichever way it comes in", async () => {
    const { body } = await alice.send('POST', '/v1/jobs:batch', {
      body: { jobs: [{ command: 'a' }, { command: 'b' }] },
    });
    const ids = body.results.map(({ job }: { job: { job_id: string } }) => job.job_id);
    ids.push(await submitKept(alice, { command: 'c' }), await submitKept(alice, WORKLOAD));
    for (const id of ids) expect((await operator.send('GET', `/v1/jobs/${id}`)).body.user).toBe('alice');
    const tally = (await api.store.jobs.read(ids[0]))?.user;
    expect(tally).toBe('alice');
  });

  it('cannot name another user', async () => {
    const reply = await alice.send('POST', '/v1/jobs', { body: { command: 'true', user: 'bob' } });
    expect(reply).toMatchObject({ status: 400, body: { errors: [{ path: '$.user' }] } });
    const kept = await submitKept(alice, { command: 'true', user: 'bob', user_id: 'bob' });
    expect((await operator.send('GET', `/v1/jobs/${kept}`)).body.user).toBe('alice');
  });

  it("has its Idempotency-Key to itself: another user's is another", async () => {
    const headers = { 'idempotency-key': 'nightly' };
    const body = { command: 'true' };
    const first = await alice.send('POST', '/v1/jobs', { body, headers });
    const again = await alice.send('POST', '/v1/jobs', { body, headers });
    const other = await bob.send('POST', '/v1/jobs', { body: { command: 'false' }, headers });
    expect([first.status, again.status, other.status]).toEqual([201, 200, 201]);
    expect(again.body.job_id).toBe(first.body.job_id);
    expect(other.body).toMatchObject({ user: 'bob' });
    expect(other.body.job_id).not.toBe(first.body.job_id);
  });
});

it("a user's own events and logs are followed to their end", async () => {
  const job_id = await alice.submit();
  const headers = { accept: 'text/event-stream', authorization: alice.authorization };
  const [events, logs] = await Promise.all(
    ['events', 'logs'].map((what) => fetch(`${api.url}/v1/jobs/${job_id}/${what}`, { headers })),
  );
  expect([events?.status, logs?.status]).toEqual([200, 200]);
  const texts = Promise.all([events?.text(), logs?.text()]);
  await until('the cancel', async () => (await alice.send('POST', `/v1/jobs/${job_id}/cancel`)).status === 200);
  for (const text of await texts) expect(text).toContain('event: end');
});
