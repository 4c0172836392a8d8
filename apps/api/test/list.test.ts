import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openTestApi, settleJob, startJob, type TestApi } from './open-test-api.js';

let api: TestApi;
beforeEach(async () => {
  api = await openTestApi('list');
});
afterEach(() => api.close());

const list = async (query: string): Promise<{ ids: string[]; next: string | null }> => {
  const { status, body } = await api.send('GET', `/v1/jobs${query}`);
  expect(status).toBe(200);
  return { ids: body.jobs.map((job: { job_id: string }) => job.job_id), next: body.next_cursor };
};

const listAll = async (query: string): Promise<string[]> => {
  const all: string[] = [];
  for (let cursor: string | null = ''; cursor !== null; ) {
    const page: { ids: string[]; next: string | null } = await list(
      `${query}${cursor === '' ? '' : `&cursor=${cursor}`}`,
    );
    all.push(...page.ids);
    cursor = page.next;
  }
  return all;
};

const submitMany = async (count: number, spec: object = {}): Promise<string[]> => {
  const ids: string[] = [];
  for (let i = 0; i < count; i++) ids.push(await api.submit(spec));
  return ids;
};

describe('GET /v1/jobs', () => {
  it('shows the newest first, without output', async () => {
    const ids = await submitMany(3);
    const { body } = await api.send('GET', '/v1/jobs');
    expect(body.jobs.map((job: { job_id: string }) => job.job_id)).toEqual(ids.reverse());
    expect(body.next_cursor).toBeNull();
    expect(body.jobs[0]).toMatchObject({ state: 'pending', command: 'true' });
    expect(body.jobs[0]).not.toHaveProperty('stdout');
  });

  it('pages through all of them once, although jobs come in meanwhile', async () => {
    const ids = await submitMany(7);
    const first = await list('?limit=3');
    await submitMany(2);
    const second = await list(`?limit=3&cursor=${first.next}`);
    await submitMany(1);
    const third = await list(`?limit=3&cursor=${second.next}`);
    expect([...first.ids, ...second.ids, ...third.ids]).toEqual(ids.reverse());
    expect(third.next).toBeNull();
  });

  it('filters by state, label and name, alone and together', async () => {
    const plain = await submitMany(2);
    const named = await submitMany(2, { name: 'nightly run', labels: { team: 'a=b', env: 'x' } });
    const done = await api.submit({ name: 'nightly run' });
    await settleJob(api.store, await startJob(api.store, done));
    const newestFirst = (...ids: string[]) => ids.sort().reverse();
    expect(await listAll('?limit=1&state=pending')).toEqual(newestFirst(...plain, ...named));
    expect(await listAll('?limit=1&state=completed')).toEqual([done]);
    expect(await listAll('?limit=1&name=nightly%20run')).toEqual(newestFirst(...named, done));
    expect(await listAll('?limit=1&label=team%3Da%3Db')).toEqual(newestFirst(...named));
    expect(await listAll('?limit=1&name=nightly+run&state=completed')).toEqual([done]);
    expect(await listAll('?limit=1&label=team%3Da%3Db&state=failed')).toEqual([]);
    expect(await listAll('?limit=1&name=other')).toEqual([]);
  });
});

describe('GET /v1/stats', () => {
  it('counts jobs by state and class, and all that ever were', async () => {
    const [first = '', second = ''] = await submitMany(3);
    await settleJob(api.store, await startJob(api.store, first));
    await startJob(api.store, second);
    await api.submit({ cpus: 4 });
    const { body } = await api.send('GET', '/v1/stats');
    expect(body.jobs).toEqual({ pending: 2, running: 1, completed: 1, failed: 0, cancelled: 0 });
    expect(body.totals).toEqual({ submitted: 4, completed: 1, failed: 0, cancelled: 0 });
    const waiting = body.classes.map((one: { name: string; backlog: number; queued: number }) => [
      one.name,
      one.backlog + one.queued,
    ]);
    expect(waiting).toEqual([
      ['small', 1],
      ['medium', 1],
      ['large', 0],
      ['gpu', 0],
    ]);
  });
});

describe('GET /v1/nodes and /v1/classes', () => {
  it('shows machines with what they hold and have given away', async () => {
    await api.store.workers.report({
      worker: 'w',
      node: 'n',
      engine: 'e',
      version: '0.1.0',
      engine_version: '20.10',
      oci_runtime: 'crun',
      capacity: { centicpus: 250, memory_mb: 4_096, gpus: 0 },
      classes: ['small'],
      running: 1,
      started_at: Date.now(),
      at: Date.now(),
    });
    await startJob(api.store, await api.submit({ cpus: 0.5 }));
    const { body } = await api.send('GET', '/v1/nodes');
    expect(body.nodes).toMatchObject([
      {
        node: 'n',
        state: 'ready',
        capacity: { cpus: 2.5, memory_mb: 4_096, gpus: 0 },
        reserved: { cpus: 0.5, memory_mb: 256, gpus: 0 },
        workers: [{ worker: 'w', oci_runtime: 'crun', classes: ['small'] }],
      },
    ]);
    const classes = await api.send('GET', '/v1/classes');
    expect(classes.body.classes).toHaveLength(4);
    expect(classes.body.classes[0]).toMatchObject({ name: 'small', max_cpus: 1, max_memory_mb: 1024 });
  });
});
