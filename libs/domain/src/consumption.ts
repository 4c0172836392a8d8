/** What a job's attempts have used and kept others from using, added up. */
export interface Consumption {
  /** How long their containers ran. */
  run_ms: number;
  /** CPU time that was measured; of an attempt that nobody could look at, none. */
  cpu_ms: number;
  /** CPUs that were reserved, times how long. */
  cpu_reserved_ms: number;
  /** Megabytes that were reserved, times how long. */
  memory_mb_ms: number;
  /** GPUs that were reserved, whole or a slice of each, times how long. */
  gpu_ms: number;
}

export const NO_CONSUMPTION: Consumption = { run_ms: 0, cpu_ms: 0, cpu_reserved_ms: 0, memory_mb_ms: 0, gpu_ms: 0 };

export const addConsumption = (a: Consumption, b: Consumption): Consumption => ({
  run_ms: a.run_ms + b.run_ms,
  cpu_ms: a.cpu_ms + b.cpu_ms,
  cpu_reserved_ms: a.cpu_reserved_ms + b.cpu_reserved_ms,
  memory_mb_ms: a.memory_mb_ms + b.memory_mb_ms,
  gpu_ms: a.gpu_ms + b.gpu_ms,
});

interface Ask {
  cpus: number;
  memory_mb: number;
  gpus?: { count: number } | undefined;
}

interface Attempt {
  started_at: number | null;
  finished_at: number;
  usage?: { cpu_seconds: number | null };
}

/** Of one attempt, by the limits of its container, from its start to its end. One whose container never started has consumed nothing. */
export const toConsumption = ({ cpus, memory_mb, gpus }: Ask, attempt: Attempt): Consumption => {
  if (attempt.started_at === null) return NO_CONSUMPTION;
  const run_ms = Math.max(0, attempt.finished_at - attempt.started_at);
  return {
    run_ms,
    cpu_ms: Math.round((attempt.usage?.cpu_seconds ?? 0) * 1000),
    cpu_reserved_ms: Math.round(cpus * run_ms),
    memory_mb_ms: memory_mb * run_ms,
    gpu_ms: (gpus?.count ?? 0) * run_ms,
  };
};
