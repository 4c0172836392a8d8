/** Waits for the work, but not longer than so many milliseconds. Never rejects: how the work ends is its own affair. */
export const within = async (limit_ms: number, work: Promise<unknown>): Promise<void> => {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, limit_ms);
  });
  await Promise.race([work.catch(() => {}), late]);
  clearTimeout(timer);
};

export const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** One at a time: a turn that comes while the last one still works is left out. The work must not reject. */
export const every = (ms: number, work: () => Promise<void>): NodeJS.Timeout => {
  let working = false;
  return setInterval(async () => {
    if (working) return;
    working = true;
    await work();
    working = false;
  }, ms);
};
