import type { MemoryReport } from '@berth/domain';
import type { ContainerEvent } from './engine-events.js';
import type { MemoryWatch } from './memory-witness.js';

/** What was seen of one container, beside its state, that may tell why it ended. */
export interface Sightings {
  note(event: ContainerEvent): void;
  /** The engine's memory of the container, in place of what its stream has told so far; the oldest first. */
  recall(events: ContainerEvent[]): void;
  readonly outside_signal: number | null;
  /** Unix milliseconds of the last process that was killed for want of memory, as far as anyone saw. */
  readonly last_oom_ms: number | null;
  toMemory(oom_flag: boolean): MemoryReport;
}

/** `isOurs`: whether it is we who have sent the container a signal; then none counts as another's. */
export const createSightings = (memory: Pick<MemoryWatch, 'sample' | 'seen'>, isOurs: () => boolean): Sightings => {
  let outside_signal: number | null = null;
  let ooms = 0;
  let last_oom_ms: number | null = null;

  const note = (event: ContainerEvent) => {
    if (event.action === 'kill' && !isOurs()) outside_signal = event.signal;
    if (event.action !== 'oom') return;
    ooms += 1;
    last_oom_ms = event.at_ms;
    void memory.sample();
  };

  return {
    note,
    recall: (events) => {
      const told = ooms;
      ooms = 0;
      for (const event of events) note(event);
      ooms = Math.max(told, ooms);
    },
    get outside_signal() {
      return outside_signal;
    },
    get last_oom_ms() {
      const times = [last_oom_ms, memory.seen.last_oom_ms].filter((time) => time !== null);
      return times.length === 0 ? null : Math.max(...times);
    },
    toMemory: (oom_flag) => {
      const { oom_kills, peak_bytes } = memory.seen;
      return { oom_kills: Math.max(ooms, oom_kills, oom_flag ? 1 : 0), oom_flag, peak_bytes };
    },
  };
};
