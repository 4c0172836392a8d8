import { DEFAULT_CLASSES } from '@berth/domain';
import { describe, expect, it } from 'vitest';
import { toCapacity, toServedClasses } from './capacity.js';

const engine = { id: 'e', name: 'n', version: '1', cpus: 2, memory_mb: 7_000, oci_runtime: 'crun' };
const unset = { cpus: undefined, memoryMb: undefined };

describe('capacity', () => {
  it('is all CPUs and nine tenths of the memory, unless told otherwise', () => {
    expect(toCapacity(engine, unset)).toEqual({ centicpus: 200, memory_mb: 6_300, gpus: 0 });
    expect(toCapacity(engine, { cpus: 0.5, memoryMb: 64 })).toEqual({ centicpus: 50, memory_mb: 64, gpus: 0 });
  });

  it('leaves the system what it is told to', () => {
    const system = { ...unset, systemCpus: 0.5, systemMemoryMb: 1_000 };
    expect(toCapacity(engine, system)).toEqual({ centicpus: 150, memory_mb: 6_000, gpus: 0 });
    expect(toCapacity(engine, { ...unset, systemCpus: 3, systemMemoryMb: 9_000 })).toEqual({
      centicpus: 0,
      memory_mb: 0,
      gpus: 0,
    });
    expect(toCapacity(engine, { ...system, cpus: 2, memoryMb: 64 })).toEqual({
      centicpus: 200,
      memory_mb: 64,
      gpus: 0,
    });
  });

  it('serves the class with GPUs where there is one, beside the others', () => {
    const served = (gpus: unknown[]) =>
      toServedClasses(DEFAULT_CLASSES, toCapacity(engine, unset, gpus)).map((c) => c.name);
    expect(served(['one'])).toEqual(['small', 'medium', 'gpu']);
    expect(served([])).toEqual(['small', 'medium']);
  });

  it.each([
    [{ cpus: 2, memoryMb: 6_300 }, ['small', 'medium']],
    [{ cpus: 1, memoryMb: 1_024 }, ['small']],
    [{ cpus: 1, memoryMb: 2_048 }, ['small', 'medium']],
    [{ cpus: 32, memoryMb: 100_000 }, ['small', 'medium', 'large']],
    [{ cpus: 0.01, memoryMb: 5 }, []],
  ])('%o serves %o', (wanted, names) => {
    expect(toServedClasses(DEFAULT_CLASSES, toCapacity(engine, wanted)).map((c) => c.name)).toEqual(names);
  });
});
