import type { ContainerOptions } from '../../apps/worker/dist/runtime/container-runtime.js';

export const IMAGE = process.env.BERTH_DEFAULT_IMAGE ?? 'busybox:stable';

/** Jobs that run at once: four of half a CPU on two CPUs. */
export const WIDTH = 4;
export const WORKER_CPUS = 2;
const CENTICPUS = (WORKER_CPUS * 100) / WIDTH;
const MEMORY_MB = 64;

/** As a client sends it. */
export const echoSpec = {
  image: IMAGE,
  command: ['echo', 'hi'],
  cpus: CENTICPUS / 100,
  memory_mb: MEMORY_MB,
};

/** Holds a quarter of the width, silently, until it is cancelled. */
export const plugSpec = { ...echoSpec, command: ['sleep', '3600'], stop_grace_seconds: 0 };

/** As the worker hands the same job to its runtime. */
export const toEchoOptions = (job_id: string): ContainerOptions => ({
  name: `berth-bench-${job_id}`,
  image: IMAGE,
  argv: ['echo', 'hi'],
  env: {},
  workdir: '/workspace',
  centicpus: CENTICPUS,
  memory_mb: MEMORY_MB,
  network: 'none',
  profile: 'standard',
  labels: {
    job_id,
    epoch: 1,
    attempt: 1,
    deadline: Math.ceil(Date.now() / 1000) + 3_620,
    installation: 'berth-bench-bare',
  },
});
