/** Runs `work` `count` times, at most `width` at once: each lane takes the next number as soon as its last is done. */
export const runLanes = async (count: number, width: number, work: (index: number) => Promise<void>): Promise<void> => {
  let next = 0;
  const lane = async (): Promise<void> => {
    while (next < count) {
      next += 1;
      await work(next - 1);
    }
  };
  await Promise.all(Array.from({ length: width }, lane));
};
