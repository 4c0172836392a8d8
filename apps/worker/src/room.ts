/**
 * Where a worker's classes wait for another look to be worth it. The room itself is counted in the record, where a draw reserves it; what
 * does not fit keeps its place there, and has the machine reserved for it where small jobs would win the race for ever.
 */
export interface Room {
  /** Something was freed on this engine, or something came that may run on it. */
  signal(): void;
  /** How many signals there were, so that one that comes between a look and a wait is not missed. */
  readonly signals: number;
  /** Settles once there has been a signal after the given count, or after a while without one. */
  changed(since?: number): Promise<void>;
  /** From now on nobody is kept waiting: the worker stops. */
  close(): void;
}

/** A notice may be lost; the room that it told of is then found this late. */
export const LOOK_AGAIN_MS = 2_000;

export const createRoom = (): Room => {
  const waiters = new Set<() => void>();
  let signals = 0;
  let closed = false;
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
    close() {
      closed = true;
      wakeAll();
    },
  };
};
