import { canServe, type ResourceClass, type Resources, toCenticpus } from '@berth/domain';
import type { EngineInfo } from './runtime/container-runtime.js';

/** Of the memory, left to the engine, the broker and Berth itself. */
const SYSTEM_SHARE = 0.1;

interface Wanted {
  cpus: number | undefined;
  memoryMb: number | undefined;
  /** What is left to the system where the two above do not say what jobs may use. */
  systemCpus?: number;
  systemMemoryMb?: number | undefined;
}

/** What jobs may use of the machine: what is configured, else what the system does not need: all CPUs and nine tenths of the memory. */
export const toCapacity = (
  engine: Pick<EngineInfo, 'cpus' | 'memory_mb'>,
  { cpus, memoryMb, systemCpus = 0, systemMemoryMb = Math.ceil(engine.memory_mb * SYSTEM_SHARE) }: Wanted,
  gpus: readonly unknown[] = [],
): Resources => ({
  centicpus: toCenticpus(cpus ?? Math.max(0, engine.cpus - systemCpus)),
  memory_mb: memoryMb ?? Math.max(0, engine.memory_mb - systemMemoryMb),
  gpus: gpus.length,
});

/** The classes of which this machine could hold at least one job. */
export const toServedClasses = (classes: ResourceClass[], capacity: Resources): ResourceClass[] =>
  classes.filter((c) => canServe(classes, c, capacity));
