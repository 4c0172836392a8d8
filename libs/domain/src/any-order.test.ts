import { describe, expect, it } from 'vitest';
import { startsInAnyOrder } from './any-order.js';
import { type Scene, toFilling } from './fill.js';
import type { MachineView } from './judge.js';
import { type Shape, toShape, toShapeText } from './placement.js';

const toMachine = (engine: string, more: Partial<MachineView> = {}): MachineView => ({
  ...{ node: engine, engine, labels: {}, region: '', datacenter: '', gpus: [], gpu_holds: [], drained: false },
  ...{ capacity: { centicpus: 200, memory_mb: 1_024, gpus: 0 }, reserved: { centicpus: 0, memory_mb: 0, gpus: 0 } },
  ...more,
});

interface Ask extends Partial<Shape> {
  centicpus?: number;
  memory_mb?: number;
}

/** One user's jobs in this order, each of another shape. */
const toScene = (machines: MachineView[], jobs: Ask[]): Scene => {
  const queues = jobs.map(({ centicpus = 100, memory_mb = 128, ...more }, i) => {
    const ask = { centicpus, memory_mb, gpus: more.gpus?.count ?? 0 };
    const text = toShapeText({ ask, timeout_seconds: 60 + i, ...more });
    return { text, shape: toShape(text), jobs: [{ job_id: `job-${i}`, score: i }] };
  });
  return {
    ...{ at: 0, machines, buckets: { small: [{ user: 'alice', rank: 0, queues }] }, quotas: {}, tallies: {} },
    sharing: { cluster: { centicpus: 4_000, memory_mb: 20_480, gpus: 1 }, half_life_ms: 1, weights: {}, durations: {} },
  };
};

/** Whether the last of the jobs starts. */
const ask = (machines: MachineView[], jobs: Ask[], picks = 1_000) =>
  startsInAnyOrder(toFilling(toScene(machines, jobs)), `job-${jobs.length - 1}`, { picks });

const names = Array.from({ length: 20 }, (_, i) => `engine-${i}`);
const FIVE = Array.from({ length: 5 }, () => ({}));

describe('startsInAnyOrder', () => {
  it('asks one of twenty machines that are alike', () => {
    const machines = names.map((name) => toMachine(name));
    expect(ask(machines, FIVE, 100)).toBe(true);
  });

  it('tries each of twenty machines that differ, and says where these are too many', () => {
    const machines = names.map((name, i) => toMachine(name, { labels: { rack: String(i) } }));
    expect(ask(machines, FIVE, 100)).toBeUndefined();
  });

  const gpu = { index: 0, uuid: 'GPU-1', name: 'A', memory_mb: 1 };
  const large = { centicpus: 100, memory_mb: 2_048, gpus: 0 };
  it.each<[string, Partial<MachineView>, Ask]>([
    ['a label', { labels: { rack: 'b' } }, { node_selector: { rack: 'b' } }],
    ['what it can hold', { capacity: large }, { memory_mb: 2_048 }],
    ['its region', { region: 'south' }, { eligible_regions: ['south'] }],
    ['its datacenter', { datacenter: 'one' }, { eligible_datacenters: ['one'] }],
    ['a GPU', { capacity: { ...large, gpus: 1 }, gpus: [gpu] }, { gpus: { count: 1, type: 'any' } }],
  ])('asks both of two machines that differ in %s', (_, more, last) => {
    // Each has room for one job. The last one runs on b alone, where b must not get the first one.
    const room = { centicpus: 100, memory_mb: 1_024, gpus: 0 };
    const [a, b] = [toMachine('a', { capacity: room }), toMachine('b', { capacity: room, ...more })];
    expect([ask([a, b], [{}, last]), ask([b, a], [{}, last])]).toEqual([false, false]);
    expect(ask([a, b], [{ node_selector: { rack: 'c' } }, last])).toBe(true);
  });

  it('asks both of two machines that are alike but for what has started there', () => {
    const [a, b] = [toMachine('a'), toMachine('b')];
    const jobs = [{ memory_mb: 512 }, { memory_mb: 512 }, { memory_mb: 1_024 }];
    // Only where one machine gets both of the small ones is there room for the large one.
    expect([ask([a, b], jobs), ask([b, a], jobs)]).toEqual([false, false]);
    expect(ask([a, b], [{ memory_mb: 512 }, { memory_mb: 1_024 }])).toBe(true);
  });
});
