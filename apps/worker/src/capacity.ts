import { canServe, type ResourceClass, type Resources, toCenticpus } from '@berth/domain';
import type { EngineInfo } from './runtime/container-runtime.js';

/** Left to the engine, the broker and Berth itself. */
const SYSTEM_SHARE = 0.1;

interface Wanted {
  cpus: number | undefined;
  memoryMb: number | undefined;
}

/** What jobs may use of the machine: what is configured, else all of its CPUs and nine tenths of its memory. */
export const toCapacity = (engine: EngineInfo, wanted: Wanted): Resources => ({
  centicpus: toCenticpus(wanted.cpus ?? engine.cpus),
  memory_mb: wanted.memoryMb ?? Math.floor(engine.memory_mb * (1 - SYSTEM_SHARE)),
  gpus: 0,
});

/** The classes of which this machine could hold at least one job. */
export const toServedClasses = (classes: ResourceClass[], capacity: Resources): ResourceClass[] =>
  classes.filter((c) => canServe(classes, c, capacity));
