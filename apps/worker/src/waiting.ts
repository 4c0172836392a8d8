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
