import type { Heartbeat } from '@berth/store';
import { describe, expect, it } from 'vitest';
import { claim, openTestStore, submit } from './open-test-store.js';

const NOW = 1_700_000_000_000;

const toBeat = (worker: string, fields: Partial<Heartbeat> = {}): Heartbeat => ({
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
