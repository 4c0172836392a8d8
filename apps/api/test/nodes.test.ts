import type { ReportedHeartbeat } from '@berth/store';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { claimJob, expectProblem, openTestApi, settleJob, startJob, type TestApi } from './open-test-api.js';
import { openUser } from './open-users.js';

const GPUS = [
  { index: 0, uuid: 'GPU-a', name: 'NVIDIA A100-SXM4-80GB', memory_mb: 81_920 },
  { index: 1, uuid: 'GPU-b', name: 'NVIDIA A100-SXM4-80GB', memory_mb: 81_920 },
];
const MACHINE = {
  worker: 'w1',
  node: 'node-1',
  engine: 'engine-1',
  labels: { disk: 'ssd' },
  region: 'eu',
  datacenter: 'fra',
  gpus: GPUS,
  capacity: { centicpus: 800, memory_mb: 16_384, gpus: 2 },
};
const BEAT: ReportedHeartbeat = {
  ...MACHINE,
  version: '0.1.0',
  engine_version: '20.10',
  oci_runtime: 'crun',
  classes: ['small', 'gpu'],
  running: 0,
  started_at: Date.now(),
  used: { cpus: 1.25, memory_mb: 2_000 },
  disk: { total_mb: 100_000, free_mb: 40_000 },
};
const USAGE = {
  at: 1_700_000_000_000,
  cpu_seconds: 1.5,
  memory_peak_bytes: 1_000,
  network_rx_bytes: 1,
  network_tx_bytes: 2,
  block_read_bytes: 3,
  block_write_bytes: null,
};

let api: TestApi;
beforeEach(async () => {
  api = await openTestApi('nodes');
  await api.store.workers.report(BEAT);
});
afterEach(() => api.close());

const claimHere = async (job_id: string) => {
  const reply = await api.store.claims.claim(job_id, MACHINE);
  if (reply.kind !== 'claimed') throw new Error(`expected to claim, got ${reply.kind}`);
  return reply.claim;
};
const readNode = async () => (await api.send('GET', '/v1/nodes')).body.nodes[0];

describe('GET /v1/nodes', () => {
  it('shows all of a machine: what it has, gives away and uses, and who holds its GPUs', async () => {
    const whole = await claimHere(await api.submit({ cpus: 2, memory_mb: 1024, gpus: { type: 'a100' } }));
    const slice = await claimHere(await api.submit({ gpus: { memory_mb: 10_000 } }));
    expect(await readNode()).toEqual({
      node: 'node-1',
      state: 'ready',
      labels: { disk: 'ssd' },
      region: 'eu',
      datacenter: 'fra',
      capacity: { cpus: 8, memory_mb: 16_384, gpus: 2 },
      reserved: { cpus: 3, memory_mb: 1_280, gpus: 2 },
      used: BEAT.used,
      disk: BEAT.disk,
      gpus: [
        { ...GPUS[0], held_by: [{ job_id: whole.job_id, memory_mb: 81_920 }] },
        { ...GPUS[1], held_by: [{ job_id: slice.job_id, memory_mb: 10_000 }] },
      ],
      running: 2,
      running_jobs: [whole.job_id, slice.job_id].sort(),
      versions: ['0.1.0'],
      workers: [expect.objectContaining({ worker: 'w1', classes: ['small', 'gpu'] })],
      last_heartbeat: expect.stringMatching(/^\d{4}-/),
    });
    expect((await api.send('GET', `/v1/jobs/${whole.job_id}`)).body).toMatchObject({
      gpu_uuids: ['GPU-a'],
      spec: { gpus: { count: 1, type: 'a100' } },
    });
    await settleJob(api.store, whole);
    await settleJob(api.store, slice);
    expect(await readNode()).toMatchObject({ running: 0, reserved: { cpus: 0, memory_mb: 0, gpus: 0 } });
  });

  it("shows users the machines, and nobody's jobs", async () => {
    const claim = await claimHere(await api.submit({ gpus: {} }));
    const alice = await openUser(api, 'alice');
    const [node] = (await alice.send('GET', '/v1/nodes')).body.nodes;
    expect(node).toMatchObject({
      running: 1,
      running_jobs: [],
      gpus: [{ held_by: [{ job_id: null }] }, { held_by: [] }],
    });
    expect(JSON.stringify(node)).not.toContain(claim.job_id);
  });
});

describe('POST /v1/nodes/{id}/drain and /resume', () => {
  it('lets what runs go on and gives nothing more, until it is resumed', async () => {
    const claim = await claimHere(await api.submit());
    const drained = await api.send('POST', '/v1/nodes/node-1/drain');
    expect([drained.status, drained.body]).toMatchObject([200, { node: 'node-1', state: 'draining', running: 1 }]);
    const waiting = await api.submit();
    expect((await api.store.claims.claim(waiting, MACHINE)).kind).toBe('none');
    await settleJob(api.store, claim);
    expect((await readNode()).state).toBe('drained');
    const resumed = await api.send('POST', '/v1/nodes/node-1/resume');
    expect([resumed.status, resumed.body.state]).toEqual([200, 'ready']);
    await settleJob(api.store, await claimHere(waiting));
  });

  it('are for operators, and for nodes that there are', async () => {
    for (const what of ['drain', 'resume']) {
      const missing = await api.send('POST', `/v1/nodes/nobody/${what}`);
      expect(missing.status).toBe(404);
      expectProblem(missing);
    }
    const alice = await openUser(api, 'alice');
    const root = await openUser(api, 'root', 'operator');
    for (const what of ['drain', 'resume']) {
      const refused = await alice.send('POST', `/v1/nodes/node-1/${what}`);
      expect([refused.status, refused.body.code]).toEqual([403, 'forbidden']);
    }
    const [node] = (await root.send('GET', '/v1/nodes')).body.nodes;
    expect(node.state).toBe('ready');
    expect((await root.send('POST', '/v1/nodes/node-1/drain')).status).toBe(200);
  });
});

describe('GET /v1/jobs/{id}/usage', () => {
  const { at, ...used } = USAGE;
  const shown = { sampled_at: new Date(at).toISOString(), ...used };

  it('is the latest look while it runs, and the last one afterwards, also in the attempt', async () => {
    const job_id = await api.submit();
    const read = async () => (await api.send('GET', `/v1/jobs/${job_id}/usage`)).body;
    expect(await read()).toEqual({ job_id, state: 'pending', attempt: null, final: false, usage: null });
    const claim = await startJob(api.store, job_id);
    expect(await read()).toEqual({ job_id, state: 'running', attempt: 1, final: false, usage: null });
    await api.store.claims.noteUsage([{ held: claim, usage: USAGE }]);
    expect(await read()).toEqual({ job_id, state: 'running', attempt: 1, final: false, usage: shown });
    await settleJob(api.store, claim);
    expect(await read()).toEqual({ job_id, state: 'completed', attempt: 1, final: true, usage: shown });
    const { body } = await api.send('GET', `/v1/jobs/${job_id}`);
    expect(body.attempts).toMatchObject([{ attempt: 1, usage: shown }]);
  });

  it('is null where it ended before anybody looked', async () => {
    const job_id = await api.submit();
    await settleJob(api.store, await claimJob(api.store, job_id));
    expect((await api.send('GET', `/v1/jobs/${job_id}/usage`)).body).toMatchObject({ final: true, usage: null });
    expect((await api.send('GET', `/v1/jobs/${job_id}`)).body.attempts[0].usage).toBeNull();
  });

  it("is not there for another user's job", async () => {
    const alice = await openUser(api, 'alice');
    const bob = await openUser(api, 'bob');
    const job_id = await alice.submit();
    expect((await alice.send('GET', `/v1/jobs/${job_id}/usage`)).status).toBe(200);
    expect((await bob.send('GET', `/v1/jobs/${job_id}/usage`)).status).toBe(404);
  });
});
