import { describe, expect, it } from 'vitest';
import { addConsumption, NO_CONSUMPTION, toConsumption } from './consumption.js';

const ask = { cpus: 0.5, memory_mb: 256, gpus: { count: 2 } };

describe('consumption', () => {
  it('counts what was used as measured, and what was reserved by how long the container ran', () => {
    const attempt = { started_at: 1_000, finished_at: 5_000, usage: { cpu_seconds: 1.25 } };
    expect(toConsumption(ask, attempt)).toEqual({
      run_ms: 4_000,
      cpu_ms: 1_250,
      cpu_reserved_ms: 2_000,
      memory_mb_ms: 1_024_000,
      gpu_ms: 8_000,
    });
  });

  it('counts nothing of an attempt without a container, and no CPU time that nobody measured', () => {
    expect(toConsumption(ask, { started_at: null, finished_at: 5_000 })).toEqual(NO_CONSUMPTION);
    const unseen = { started_at: 0, finished_at: 1_000, usage: { cpu_seconds: null } };
    expect(toConsumption({ cpus: 1, memory_mb: 1 }, unseen)).toMatchObject({ cpu_ms: 0, run_ms: 1_000, gpu_ms: 0 });
    const twice = addConsumption(toConsumption(ask, unseen), toConsumption(ask, unseen));
    expect(twice).toMatchObject({ run_ms: 2_000, gpu_ms: 4_000, memory_mb_ms: 512_000 });
  });
});
