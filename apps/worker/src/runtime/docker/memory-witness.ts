import { createCgroupMemory } from './cgroup-memory.js';
import { openKernelLog } from './kernel-log.js';

export interface MemoryWitnessOptions {
  /** Where the kernel's control groups are mounted. */
  cgroups?: string | undefined;
  kernel_log?: string | undefined;
  /** How often the containers are looked at while they live. */
  sample_ms?: number | undefined;
}

/** What was seen of one container's memory from beside the engine. */
export interface MemorySeen {
  oom_kills: number;
  /** Unix milliseconds. Null: none was seen. */
  last_oom_ms: number | null;
  peak_bytes: number | null;
}

export interface MemoryWatch {
  /** Reads what the kernel has said since. Never rejects. */
  look(): Promise<void>;
  /** Reads the cgroup, if it is still there. Never rejects. */
  sample(): Promise<void>;
  readonly seen: MemorySeen;
  stop(): void;
}

export interface MemoryWitness {
  watch(id: string): MemoryWatch;
  close(): void;
}

const SAMPLE_MS = 2_000;

/**
 * The engine hears of a death for want of memory from a notice that may come after the cgroup is gone, and then it says nothing.
 * So two others are heard: the kernel's own log, which is read at each end, and the cgroup while it is there. One slow timer
 * looks at the cgroups of all containers that run, for their peak; what lives shorter has none. Either witness may be missing:
 * then it has seen nothing.
 */
export const createMemoryWitness = (options: MemoryWitnessOptions = {}): MemoryWitness => {
  const { cgroups = '/sys/fs/cgroup', kernel_log = '/dev/kmsg', sample_ms = SAMPLE_MS } = options;
  const readCgroup = createCgroupMemory(cgroups);
  const kernel = openKernelLog(kernel_log);
  const samplers = new Set<() => Promise<void>>();
  let timer: NodeJS.Timeout | undefined;
  let sampling = false;

  const sampleAll = async () => {
    if (sampling) return;
    sampling = true;
    for (const sample of samplers) await sample();
    sampling = false;
  };
  const stopTimer = () => {
    clearInterval(timer);
    timer = undefined;
  };

  return {
    watch: (id) => {
      let peak_bytes: number | null = null;
      let counted = 0;
      let counted_at: number | null = null;
      const sample = async () => {
        const memory = await readCgroup(id);
        if (memory === undefined) return;
        peak_bytes = Math.max(peak_bytes ?? 0, memory.used_bytes);
        if (memory.oom_kills > counted) counted_at = Date.now();
        counted = Math.max(counted, memory.oom_kills);
      };
      if (samplers.size === 0) void kernel.read();
      samplers.add(sample);
      timer ??= setInterval(() => void sampleAll(), sample_ms).unref();
      return {
        look: () => kernel.read(),
        sample,
        get seen() {
          const { kills, last_ms } = kernel.oomKillsOf(id);
          return { oom_kills: Math.max(counted, kills), last_oom_ms: toLater(counted_at, last_ms), peak_bytes };
        },
        stop: () => {
          samplers.delete(sample);
          if (samplers.size === 0) stopTimer();
        },
      };
    },
    close: () => {
      stopTimer();
      kernel.close();
    },
  };
};

const toLater = (one: number | null, other: number | null): number | null =>
  one === null || other === null ? (one ?? other) : Math.max(one, other);
