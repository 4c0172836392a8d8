/**
 * Where a worker's classes wait for the machine to have room. The room itself is counted in the record (a claim reserves); this
 * only says when another look is worth it, and whose turn it is.
 *
 * Every class's loop that met `no_room` waits here and looks again when something was freed on the engine. Small jobs would win
 * that race for ever, so a class that has been refused for PATIENCE_MS makes the others of this worker wait for it. Its turn
 * passes when it gets its job, or when it has not been refused again for a while: its message went to another machine.
 */
export interface Room {
  /** Something was freed on this engine. */
  signal(): void;
  /** How many signals there were, so that one that comes between a look and a wait is not missed. */
  readonly signals: number;
  /** A claim of this class was refused for want of room. */
  refused(className: string): void;
  claimed(className: string): void;
  /** Settles once there has been a signal after the given count, or after a while without one. */
  changed(since?: number): Promise<void>;
  /** Whether the class may take a job now, or another one of this worker has waited too long. */
  isTurnOf(className: string): boolean;
  /** From now on nobody is kept waiting: the worker stops. */
  close(): void;
}

export const PATIENCE_MS = 60_000;
export const FORGOTTEN_MS = 5_000;
/** A notice may be lost; the room that it told of is then found this late. */
export const LOOK_AGAIN_MS = 2_000;

export const createRoom = (now: () => number = Date.now): Room => {
  const waiting = new Map<string, { since: number; last: number }>();
  const waiters = new Set<() => void>();
  let signals = 0;
  let closed = false;

  const isFresh = (entry: { last: number }): boolean => now() - entry.last < FORGOTTEN_MS;
  const findImpatient = (): string | undefined =>
    [...waiting].find(([, entry]) => isFresh(entry) && entry.last - entry.since > PATIENCE_MS)?.[0];
  const wakeAll = (): void => {
    for (const wake of waiters) wake();
  };

  return {
    get signals() {
      return signals;
    },
    signal() {
      signals += 1;
      wakeAll();
    },
    refused(className) {
      const entry = waiting.get(className);
      waiting.set(className, { since: entry && isFresh(entry) ? entry.since : now(), last: now() });
    },
    claimed: (className) => void waiting.delete(className),
    async changed(since = signals) {
      if (closed || signals !== since) return;
      await new Promise<void>((resolve) => {
        const wake = () => {
          clearTimeout(timer);
          waiters.delete(wake);
          resolve();
        };
        const timer = setTimeout(wake, LOOK_AGAIN_MS);
        waiters.add(wake);
      });
    },
    isTurnOf(className) {
      const impatient = findImpatient();
      return closed || impatient === undefined || impatient === className;
    },
    close() {
      closed = true;
      wakeAll();
    },
  };
};
