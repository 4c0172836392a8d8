import type { Resources } from '@berth/domain';
import type { Node } from '@berth/store';
import { describe, expect, it } from 'vitest';
import { toExecutors, toSize } from './workload-cluster.js';

const toResources = (centicpus: number, memory_mb: number): Resources => ({ centicpus, memory_mb, gpus: 0 });

const toNode = (fields: Partial<Node>): Node => ({
  node: 'n',
  engine: 'e',
  state: 'ready',
  drained: false,
  labels: {},
  region: 'default',
  datacenter: 'default',
  gpus: [],
  gpu_holds: [],
  disk: null,
  used: null,
  running_jobs: [],
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

  it('tells of the GPUs, the place, and the jobs that run', () => {
    const gpus = ['A100', 'A100', 'T4'].map((name, index) => ({ index, uuid: `GPU-${index}`, name, memory_mb: 1_000 }));
    const resources = {
      capacity: { ...toResources(800, 8_192), gpus: 3 },
      reserved: { ...toResources(0, 0), gpus: 2 },
    };
    const node = toNode({ ...resources, gpus, region: 'eu', datacenter: 'fra', running_jobs: ['a', 'b'] });
    expect(toExecutors([node]).executors[0]).toMatchObject({
      gpu_types: ['A100', 'T4'],
      total_gpus: 3,
      available_gpus: 1,
      region: 'eu',
      datacenter: 'fra',
      running_jobs: 2,
    });
  });

  it('has nothing to give on a machine that takes no more jobs', () => {
    const node = toNode({ state: 'draining', drained: true, capacity: { ...toResources(800, 8_192), gpus: 1 } });
    const { executors, cluster_stats } = toExecutors([node]);
    const nothing = { available_cpu_cores: 0, available_memory_gb: 0 };
    expect(executors[0]).toMatchObject({ ...nothing, available_gpus: 0, total_cpu_cores: 8, total_gpus: 1 });
    expect(cluster_stats).toMatchObject({ ...nothing, total_cpu_cores: 8 });
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
