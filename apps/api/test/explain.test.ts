import { type Claim, type Claimant, openRedis } from '@berth/store';
import { afterEach, beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { startPlanner } from '../src/planner.js';
import { patch } from './merge-patch.js';
import { openTestApi, type Reply, settleJob, type TestApi, until } from './open-test-api.js';
import { openUser, type TestUser } from './open-users.js';

const toMachine = (name: string, more: Partial<Claimant> = {}): Claimant => ({
  ...{ worker: `worker-${name}`, engine: `engine-${name}`, node: name, labels: {}, region: 'eu', datacenter: 'dc1' },
  ...{ gpus: [], capacity: { centicpus: 200, memory_mb: 2_048, gpus: 0 } },
  ...more,
});

/** The API's own planner is held: it would keep a machine free at some time between two requests of a test. */
describe('explain and simulate', () => {
  let api: TestApi;
  let root: TestUser;
  let alice: TestUser;
  let machines: Claimant[];
  const tickets: Record<string, string[]> = {};

  beforeEach(async () => {
    const held = { kick: () => undefined, close: async () => undefined };
    api = await openTestApi('explain', {}, { relay: held, planner: held });
    [root, alice] = [await openUser(api, 'root', 'operator'), await openUser(api, 'alice')];
    machines = [];
    for (const name of ['small', 'medium']) tickets[name] = [];
  });
  afterEach(() => api.close());

  const addMachine = async (name: string, more: Partial<Claimant> = {}): Promise<Claimant> => {
    const machine = toMachine(name, more);
    machines.push(machine);
    const told = { version: '1', engine_version: '1', oci_runtime: 'runc', running: 0, started_at: 0 };
    await api.store.workers.report({ ...machine, ...told, classes: ['small', 'medium'] });
    return machine;
  };

  const drawOne = async (className: string, by: Claimant): Promise<Claim | undefined> => {
    const own = tickets[className] ?? [];
    for (;;) {
      own.push(...(await api.store.backlog.dispatch(className, 100, 100)).map(({ ticket }) => ticket));
      const [ticket] = own;
      if (ticket === undefined) return undefined;
      const reply = await api.store.claims.draw(className, ticket, by);
      if (reply.kind === 'none') return undefined;
      own.shift();
      if (reply.kind === 'claimed') return reply.claim;
    }
  };

  /** Every machine takes all that it can: afterwards nothing that waits can run. */
  const drawAll = async (): Promise<Claim[]> => {
    const claims: Claim[] = [];
    for (const by of machines) {
      for (const name of ['small', 'medium']) {
        for (let claim = await drawOne(name, by); claim; claim = await drawOne(name, by)) claims.push(claim);
      }
    }
    return claims;
  };

  const explain = async (id: string, by: TestUser = alice) => (await by.send('GET', `/v1/jobs/${id}/explain`)).body;

  /** Does what an explanation proposes. Returns the id of the job as it waits then. */
  // biome-ignore lint/suspicious/noExplicitAny: an answer
  const apply = async (id: string, spec: object, change: any): Promise<string> => {
    const doOne: Record<string, (one: Record<string, string>) => Promise<Reply>> = {
      release_hold: () => alice.send('POST', `/v1/jobs/${id}/release`),
      raise_quota: ({ quota }) => root.send('PUT', '/v1/quotas', { body: quota as unknown as object }),
      resume_node: ({ node }) => root.send('POST', `/v1/nodes/${node}/resume`),
    };
    for (const one of change.changes) {
      const reply = await doOne[one.kind]?.(one);
      if (reply) expect(reply.text, String(reply.status)).toMatch(/^\{"(?!type)/);
    }
    if (change.merge_patch === null) return id;
    await alice.send('POST', `/v1/jobs/${id}/cancel`);
    return alice.submit(patch(spec, change.merge_patch) as object);
  };

  const cases: [string, object, (() => Promise<unknown>) | undefined, object][] = [
    [
      'memory that is not free',
      { cpus: 0.5, memory_mb: 1_000 },
      async () => alice.submit({ memory_mb: 1_024, cpus: 0.5 }).then(() => alice.submit({ memory_mb: 512, cpus: 0.5 })),
      { changes: [{ kind: 'lower', field: 'memory_mb', from: 1_000, to: 512 }], merge_patch: { memory_mb: 512 } },
    ],
    [
      'a machine that is large enough',
      { cpus: 4, memory_mb: 64 },
      undefined,
      { changes: [{ kind: 'lower', field: 'cpus', from: 4, to: 2 }], merge_patch: { cpus: 2 } },
    ],
    [
      'a label',
      { node_selector: { disk: 'ssd' } },
      undefined,
      {
        changes: [{ kind: 'change_label', label: 'disk', from: 'ssd', to: null }],
        merge_patch: { node_selector: { disk: null } },
      },
    ],
    [
      'a region',
      { eligible_regions: ['us'] },
      undefined,
      { changes: [{ kind: 'add_region', add: 'eu' }], merge_patch: { eligible_regions: ['us', 'eu'] } },
    ],
    ['its release', { hold: true }, undefined, { changes: [{ kind: 'release_hold' }], merge_patch: null }],
    [
      'a quota',
      { cpus: 0.5 },
      async () => {
        await root.send('PUT', '/v1/quotas', { body: { user: '*', max_running: 1, max_cpus: 8 } });
        await alice.submit({ cpus: 0.5 });
      },
      {
        changes: [
          {
            ...{ kind: 'raise_quota', group: 'user/alice', limit: 'max_running', from: 1, to: 2 },
            quota: { user: 'alice', max_running: 2, max_cpus: 8 },
          },
        ],
        merge_patch: null,
      },
    ],
    [
      'a node that is drained',
      {},
      async () => root.send('POST', '/v1/nodes/node-1/drain'),
      { changes: [{ kind: 'resume_node', node: 'node-1' }], merge_patch: null },
    ],
  ];

  it.each(cases)('a job that waits for %s starts after what is proposed', async (_what, spec, before, proposed) => {
    await addMachine('node-1');
    await before?.();
    await drawAll();
    const id = await alice.submit(spec);
    expect((await drawAll()).map(({ job_id }) => job_id)).toEqual([]);
    const said = await explain(id);
    expect(said).toMatchObject({ job_id: id, state: 'pending', starts_now: false, no_change: null, complete: true });
    expect(said.change).toMatchObject({ ...proposed, nodes: ['node-1'], in_any_order: true });
    const then = await apply(id, spec, said.change);
    expect((await drawAll()).map(({ job_id }) => job_id)).toEqual([then]);
  });

  it('says in a sentence what is short, and where', async () => {
    await addMachine('node-1');
    await alice.submit({ memory_mb: 1_024 });
    await drawAll();
    const id = await alice.submit({ memory_mb: 2_000, cpus: 0.5 });
    const said = await explain(id);
    expect(said.summary).toBe('It waits for memory: needs 2000 MB, the most that is free is 1024 MB on node-1.');
    expect(said.nodes).toEqual([
      {
        node: 'node-1',
        fits_empty: true,
        constraints: [{ kind: 'no_room', measure: 'memory_mb', wanted: 2_000, has: 1_024 }],
      },
    ]);
    expect(said.fair_share).toMatchObject({ weight: 1, ahead: [] });
    expect(said.position).toEqual({
      ...{ jobs_ahead_of_same_shape: 0, jobs_ahead_of_same_user: 0, users_ahead: 0, jobs_waiting_in_class: 1 },
    });
  });

  it('names what a job runs after, and its back-off, and proposes nothing against either', async () => {
    const machine = await addMachine('node-1');
    const first = await alice.submit({ retry: { max_attempts: 2, backoff_seconds: 600, max_backoff_seconds: 600 } });
    const second = await alice.submit({ after: [{ job: first }] });
    expect(await explain(second)).toMatchObject({
      constraints: [{ kind: 'dependency', job: first, condition: 'completed', state: 'pending' }],
      ...{ change: null, start_window: null, position: null, starts_now: false },
    });
    const claim = await drawOne('small', machine);
    if (!claim) throw new Error('expected to draw it');
    expect(await explain(first)).toMatchObject({ state: 'running', constraints: [], change: null });
    await settleJob(api.store, claim, { type: 'retried', cause: 'exit_code', exit_code: 1, delay_ms: 600_000 });
    const said = await explain(first);
    const [{ until: due }] = said.constraints;
    expect(said).toMatchObject({
      constraints: [{ kind: 'back_off' }],
      change: null,
      start_window: { evidence: { method: 'simulated' } },
    });
    expect(Date.parse(due)).toBeGreaterThan(Date.parse(said.at) + 500_000);
    expect(Date.parse(said.start_window.p10)).toBeGreaterThanOrEqual(Date.parse(due));
    await alice.send('POST', `/v1/jobs/${first}/cancel`);
    expect((await explain(second)).summary).toMatch(/^It has ended: cancelled \(dependency_failed\), at .+Z\.$/);
  });

  it('a window comes from how long such jobs ran', async () => {
    const machine = await addMachine('node-1', { capacity: { centicpus: 100, memory_mb: 2_048, gpus: 0 } });
    for (let i = 0; i < 3; i++) {
      await alice.submit();
      const claim = (await drawOne('small', machine)) as Claim;
      await api.store.claims.start(claim, 'sha256:abc');
      await settleJob(api.store, claim);
    }
    await alice.submit({ timeout_seconds: 60 });
    await drawAll();
    const id = await alice.submit();
    const { start_window: window, at } = await explain(id);
    expect(window.evidence).toMatchObject({ method: 'simulated', samples: 3, jobs_ahead: 0, running: 1 });
    // It has run longer than any before it, and may run for a minute.
    expect(Date.parse(window.p10)).toBeLessThanOrEqual(Date.parse(at) + 2_000);
    expect(Date.parse(window.p90)).toBeLessThanOrEqual(Date.parse(at) + 61_000);
  });

  it('shows nobody the jobs of others', async () => {
    const bob = await openUser(api, 'bob');
    const machine = await addMachine('node-1');
    await alice.submit();
    await drawAll();
    const big = await bob.submit({ cpus: 2, memory_mb: 1_024 });
    const readKept = async () => (await api.store.reservations.read([machine.engine]))[0];
    const planner = startPlanner({ store: api.store, classes: ['small', 'medium'], log: api.context.log });
    onTestFinished(planner.close);
    await until('the machine to be kept for it', async () => (await readKept())?.job_id === big);
    const id = await alice.submit({ timeout_seconds: 7_200 });
    const said = await explain(id);
    const at = (await readKept())?.at ?? 0;
    expect(said.summary).toMatch(/^It waits for node-1, which is kept free for another job: /);
    expect(said.nodes[0].constraints).toEqual([{ kind: 'reserved', for_job: null, from: new Date(at).toISOString() }]);
    expect(JSON.stringify(said)).not.toContain(big);
    expect(said.change.changes).toMatchObject([{ kind: 'lower', field: 'timeout_seconds' }]);
    expect((await explain(id, root)).nodes[0].constraints).toMatchObject([{ for_job: big }]);
    expect((await bob.send('GET', `/v1/jobs/${id}/explain`)).status).toBe(404);
  });

  const readKeys = async (): Promise<Record<string, string>> => {
    const redis = openRedis(process.env.REDIS_URL ?? '', 'steady');
    const found: Record<string, string> = {};
    for await (const keys of redis.scanStream({ match: `${api.store.keys.prefix}:*` })) {
      for (const key of keys as string[]) found[key] = (await redis.dumpBuffer(key))?.toString('base64') ?? '';
    }
    redis.disconnect();
    return found;
  };
  /** What the API's own upkeep writes by itself. */
  const isOurs = ([key]: [string, string]): boolean =>
    !/:(api_keys|cluster|files_marked|installation|settings|recount.*|bull:.*)$/.test(key);
  const readOurs = async () => Object.fromEntries(Object.entries(await readKeys()).filter(isOurs));

  it('a simulation tells where, when and whom it delays, and leaves no trace', async () => {
    await addMachine('node-1');
    await alice.submit({ cpus: 1, memory_mb: 512 });
    await drawAll();
    const waiting = await alice.submit({ cpus: 2, memory_mb: 512, priority: 10 });
    const before = await readOurs();
    const now = await alice.send('POST', '/v1/jobs:simulate', { body: { command: 'true', cpus: 1 } });
    expect(now.body).toMatchObject({ class: 'small', fits: true, starts_now: true, constraints: [], change: null });
    const later = await alice.send('POST', '/v1/jobs:simulate', { body: { command: 'true', cpus: 2, priority: 90 } });
    expect(later.body).toMatchObject({
      class: 'medium',
      fits: true,
      starts_now: false,
      delays: { count: 1, job_ids: [] },
    });
    expect(later.body.start_window.p10 <= later.body.start_window.p90).toBe(true);
    const seen = await root.send('POST', '/v1/jobs:simulate', { body: { command: 'true', cpus: 2, priority: 90 } });
    expect(seen.status).toBe(200);
    const never = await alice.send('POST', '/v1/jobs:simulate', { body: { command: 'true', cpus: 4 } });
    expect(never.body).toMatchObject({ fits: false, start_window: null, change: { merge_patch: { cpus: 1 } } });
    expect((await alice.send('POST', '/v1/jobs:simulate', { body: { command: 'true', cpus: 4_000 } })).status).toBe(
      400,
    );
    expect(await readOurs()).toEqual(before);
    expect((await explain(waiting)).state).toBe('pending');
  });

  it('a simulated job waits for what it is to run after, as a submitted one would', async () => {
    await addMachine('node-1');
    const open = await alice.submit({});
    const gone = await alice.submit({});
    await alice.send('POST', `/v1/jobs/${gone}/cancel`);
    const simulateAfter = (job: string, condition: string, by = alice) =>
      by.send('POST', '/v1/jobs:simulate', { body: { command: 'true', after: [{ job, condition }] } });
    expect((await simulateAfter(open, 'completed')).body).toMatchObject({
      starts_now: false,
      constraints: [{ kind: 'dependency', job: open, state: 'pending' }],
      start_window: null,
    });
    expect((await simulateAfter(gone, 'finished')).body).toMatchObject({ constraints: [{ kind: 'behind' }] });
    expect((await simulateAfter(gone, 'completed')).body).toMatchObject({
      starts_now: false,
      constraints: [{ kind: 'dependency', job: gone, state: 'cancelled' }],
    });
    expect(await simulateAfter(open, 'completed', root)).toMatchObject({
      status: 422,
      body: { code: 'dependency_not_found' },
    });
  });
});
