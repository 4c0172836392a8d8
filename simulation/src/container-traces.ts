import type { ExitReport } from '@berth/domain';
import { type Container, isActive } from './engine.js';
import type { World } from './world.js';

/** As far as its output goes by now. */
export const readOutput = (world: World, container: Container): number => {
  const ran_ms = container.ran_ms + (isActive(container) ? world.agenda.now - container.ran_since : 0);
  return Math.floor((ran_ms * container.job.program.bytes_per_second) / 1_000);
};

/** What the engine shows of an end to a worker, which knows its own signals. */
export const toReport = (container: Container, worker: string): ExitReport => {
  if (container.died_with_engine) return { kind: 'engine_restarted' };
  const outside = container.signals.filter(({ sender }) => sender !== worker);
  return {
    kind: 'exited',
    exit_code: container.exit_code,
    memory: { oom_kills: container.oom_kills, oom_flag: false, peak_bytes: null },
    outside_signal: outside.at(-1)?.signal ?? null,
    started_at: container.started_at ?? null,
    finished_at: container.finished_at,
  };
};
