/** A bell that one loop listens to. A ring while nobody waits is kept, so that nothing is missed between a look and a wait. */
export interface Wake {
  ring(): void;
  /** Returns at the next ring, after `ms`, or when `signal` aborts; at once where a ring was kept. Says whether it rang. */
  wait(ms: number, signal: AbortSignal): Promise<boolean>;
}

export const createWake = (): Wake => {
  let rung = false;
  let answer: (() => void) | undefined;
  return {
    ring() {
      rung = true;
      answer?.();
    },
    async wait(ms, signal) {
      if (!rung && !signal.aborted) {
        await new Promise<void>((resolve) => {
          const timer = setTimeout(resolve, ms);
          answer = () => {
            clearTimeout(timer);
            signal.removeEventListener('abort', answer as () => void);
            resolve();
          };
          signal.addEventListener('abort', answer, { once: true });
        });
        answer = undefined;
      }
      const rang = rung;
      rung = false;
      return rang;
    },
  };
};
