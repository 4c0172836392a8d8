/** Lets `size` calls through at a time; the others wait in the order they came. */
export interface LifecycleGate {
  pass<T>(call: () => Promise<T>): Promise<T>;
}

/**
 * Creating, starting and removing containers costs the engine CPU. Beyond about twice the machine's cores more of it at once
 * only makes each one slower. Waiting for a container's end is never behind this gate.
 */
export const createLifecycleGate = (size: number): LifecycleGate => {
  const waiting: (() => void)[] = [];
  let free = Math.max(1, size);

  const leave = () => {
    const next = waiting.shift();
    if (next === undefined) free += 1;
    else next();
  };

  return {
    pass: async (call) => {
      if (free > 0) free -= 1;
      else await new Promise<void>((resolve) => waiting.push(resolve));
      try {
        return await call();
      } finally {
        leave();
      }
    },
  };
};
