import type { ReportedHeartbeat } from '@berth/store';
import { describe, expect, it } from 'vitest';
import { claim, openTestStore, submit, toClaimant, toSettlement } from './open-test-store.js';

const NOW = 1_700_000_000_000;

const toBeat = (worker: string, fields: Partial<ReportedHeartbeat> = {}): ReportedHeartbeat => ({
  worker,
  node: 'node-1',
  engine: 'engine-1',
  version: '0.1.0',
  engine_version: '20.10',
  oci_runtime: 'runc',
  capacity: { centicpus: 400, memory_mb: 4_096, gpus: 0 },
  classes: ['small'],
  running: 0,
  started_at: NOW - 1_000,
  at: NOW,
  ...fields,
});

describe('the machines', () => {
  it('are one for all workers of an engine, with what their jobs have reserved', async () => {
    const { store } = openTestStore('workers');
    await store.workers.report(toBeat('w1', { at: NOW - 5_000 }));
    await store.workers.report(toBeat('w2', { capacity: { centicpus: 200, memory_mb: 8_192, gpus: 0 } }));
    await store.workers.report(toBeat('w3', { node: 'node-2', engine: 'engine-2' }));
    await claim(store, await submit(store, { cpus: 2 }));
    const nodes = await store.workers.readNodes(NOW);
    expect(nodes.map((node) => [node.node, node.state, node.workers.map((beat) => beat.worker)])).toEqual([
      ['node-1', 'ready', ['w1', 'w2']],
      ['node-2', 'ready', ['w3']],
    ]);
    expect(nodes[0]).toMatchObject({
      capacity: { centicpus: 400, memory_mb: 8_192, gpus: 0 },
      reserved: { centicpus: 200, memory_mb: 256, gpus: 0 },
      last_heartbeat: NOW,
    });
  });

  it('show what each GPU is held for, what is in use, and where they are', async () => {
    const { store } = openTestStore('workers');
    const gpus = [
      { index: 0, uuid: 'GPU-a', name: 'A100', memory_mb: 80_000 },
      { index: 1, uuid: 'GPU-b', name: 'A100', memory_mb: 80_000 },
    ];
    const told = { labels: { disk: 'ssd' }, region: 'eu', datacenter: 'fra', gpus };
    const seen = { used: { cpus: 1.5, memory_mb: 900 }, disk: { total_mb: 10, free_mb: 4 } };
    const capacity = { centicpus: 400, memory_mb: 4_096, gpus: 2 };
    await store.workers.report(toBeat('w1', { ...told, ...seen, capacity }));
    await store.workers.report(toBeat('w2', { ...told, disk: null, used: null, capacity }));
    const by = toClaimant({ ...told, capacity });
    const whole = await claim(store, await submit(store, { gpus: {} }), by);
    const slices = [
      await claim(store, await submit(store, { gpus: { memory_mb: 30_000 } }), by),
      await claim(store, await submit(store, { gpus: { memory_mb: 20_000 } }), by),
    ];
    const [node] = await store.workers.readNodes(NOW);
    expect(node).toMatchObject({ ...told, ...seen, reserved: { gpus: 2 }, drained: false });
    expect(node?.gpu_holds).toEqual([
      { uuid: 'GPU-a', job_id: whole.job_id, memory_mb: null },
      { uuid: 'GPU-b', job_id: slices[0]?.job_id, memory_mb: 30_000 },
      { uuid: 'GPU-b', job_id: slices[1]?.job_id, memory_mb: 20_000 },
    ]);
    expect(node?.running_jobs).toEqual([whole, ...slices].map(({ job_id }) => job_id).sort());
    for (const one of [whole, ...slices]) await store.claims.settle(one, toSettlement('completed'));
    expect((await store.workers.readNodes(NOW))[0]).toMatchObject({
      gpu_holds: [],
      running_jobs: [],
      reserved: { centicpus: 0, memory_mb: 0, gpus: 0 },
    });
  });

  it('of an older version are somewhere, without a label', async () => {
    const { store } = openTestStore('workers');
    await store.workers.report(toBeat('w1'));
    const [node] = await store.workers.readNodes(NOW);
    expect(node).toMatchObject({
      region: 'default',
      datacenter: 'default',
      labels: {},
      gpus: [],
      used: null,
      disk: null,
    });
  });

  it("are as old as the broker's clock says, whatever the clock of the worker", async () => {
    const { redis, store } = openTestStore('workers');
    const { at: _, ...beat } = toBeat('w1');
    await store.workers.report(beat);
    const [node] = await store.workers.readNodes();
    const [seconds] = (await redis.time()) as unknown as [string];
    expect(Math.abs((node?.last_heartbeat ?? 0) - Number(seconds) * 1_000)).toBeLessThan(5_000);
    expect(node?.state).toBe('ready');
  });

  it('are lost after 30 s of silence, forgotten after 10 minutes, and gone when they leave', async () => {
    const { redis, store } = openTestStore('workers');
    await store.workers.report(toBeat('w1'));
    expect(await store.workers.readNodes(NOW + 30_000)).toMatchObject([{ state: 'ready' }]);
    expect(await store.workers.readNodes(NOW + 30_001)).toMatchObject([{ state: 'lost' }]);
    expect(await store.workers.readNodes(NOW + 600_001)).toEqual([]);
    expect(await redis.hlen(store.keys.workers)).toBe(0);
    await store.workers.report(toBeat('w1'));
    await store.workers.leave('w1');
    expect(await store.workers.readNodes(NOW)).toEqual([]);
  });
});
