import type { Resources } from '@berth/domain';
import type { Node } from '@berth/store';
import { describe, expect, it } from 'vitest';
import { toExecutors, toSize } from './workload-cluster.js';

const toResources = (centicpus: number, memory_mb: number): Resources => ({ centicpus, memory_mb, gpus: 0 });

const toNode = (fields: Partial<Node>): Node => ({
  node: 'n',
  engine: 'e',
  state: 'ready',
  capacity: toResources(800, 16_384),
  reserved: toResources(0, 0),
  workers: [],
  last_heartbeat: 0,
  ...fields,
});

describe('toExecutors', () => {
  it('is all zeros where there is no machine', () => {
    expect(toExecutors([])).toEqual({
      executors: [],
      cluster_stats: {
        total_executors: 0,
        total_cpu_cores: 0,
        available_cpu_cores: 0,
        total_memory_gb: 0,
        available_memory_gb: 0,
        cluster_cpu_utilization: 0,
        cluster_memory_utilization: 0,
      },
    });
  });

  it('leaves out machines that have gone silent', () => {
    const { executors, cluster_stats } = toExecutors([toNode({}), toNode({ node: 'm', state: 'lost' })]);
    expect(executors.map(({ ip }) => ip)).toEqual(['n']);
    expect(cluster_stats).toMatchObject({ total_executors: 1, total_cpu_cores: 8 });
  });

  it('counts whole cores and GB down, and percentages exactly', () => {
    const node = toNode({ capacity: toResources(250, 3_500), reserved: toResources(10, 100) });
    expect(toExecutors([node]).executors[0]).toMatchObject({
      total_cpu_cores: 2,
      available_cpu_cores: 2,
      total_memory_gb: 3,
      available_memory_gb: 3,
      cpu_utilization: 4,
      memory_utilization: 2.86,
      last_heartbeat: '1970-01-01T00:00:00.000000',
    });
  });
});

describe('toSize', () => {
  it.each([
    [200, 4_096, 'small'],
    [201, 4_096, 'medium'],
    [200, 4_097, 'medium'],
    [800, 16_384, 'medium'],
    [801, 16_384, 'large'],
    [100, 16_385, 'large'],
  ])('%d hundredths of a CPU and %d MB are %s', (centicpus, memory_mb, size) => {
    expect(toSize(toResources(centicpus, memory_mb))).toBe(size);
  });
});
