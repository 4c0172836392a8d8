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
  /** A claim of this class was refused for want of room. */
  refused(className: string): void;
  claimed(className: string): void;
  /** Settles at the next signal, or after a while without one. */
  changed(): Promise<void>;
  /** Whether the class may take a job now, or another one of this worker has waited too long. */
  isTurnOf(className: string): boolean;
}

const PATIENCE_MS = 60_000;
const FORGOTTEN_MS = 5_000;
/** A notice may be lost; the room that it told of is then found this late. */
const LOOK_AGAIN_MS = 2_000;

export const createRoom = (now: () => number = Date.now): Room => {
  const waiting = new Map<string, { since: number; last: number }>();
  let waiters: (() => void)[] = [];

  const isFresh = (entry: { last: number }): boolean => now() - entry.last < FORGOTTEN_MS;
  const findImpatient = (): string | undefined =>
    [...waiting].find(([, entry]) => isFresh(entry) && entry.last - entry.since > PATIENCE_MS)?.[0];

  return {
    signal() {
      const woken = waiters;
      waiters = [];
      for (const wake of woken) wake();
    },
    refused(className) {
      const entry = waiting.get(className);
      waiting.set(className, { since: entry && isFresh(entry) ? entry.since : now(), last: now() });
    },
    claimed: (className) => void waiting.delete(className),
    changed: () =>
      new Promise((resolve) => {
        const timer = setTimeout(resolve, LOOK_AGAIN_MS);
        waiters.push(() => {
          clearTimeout(timer);
          resolve();
        });
      }),
    isTurnOf(className) {
      const impatient = findImpatient();
      return impatient === undefined || impatient === className;
    },
  };
};
