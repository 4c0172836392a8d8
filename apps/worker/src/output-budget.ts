/** So much output may wait to be stored in all of a worker, beside what each job may keep waiting in any case. */
const SHARED_BYTES = 32 * 1024 * 1024;
const OWN_BYTES = 1024 * 1024;

export interface OutputShare {
  /** False: there is no room for so many bytes more. */
  take(bytes: number): boolean;
  release(bytes: number): void;
}

export type OutputBudget = ReturnType<typeof createOutputBudget>;

/** The memory of a worker for output on its way to the store. A job that floods it leaves every other one its own part. */
export const createOutputBudget = (shared_bytes = SHARED_BYTES) => {
  let shared = 0;
  return {
    open(): OutputShare {
      let held = 0;
      const toShared = (bytes: number): number => Math.max(0, bytes - OWN_BYTES);
      const change = (to: number): void => {
        shared += toShared(to) - toShared(held);
        held = to;
      };
      return {
        take(bytes) {
          const more = toShared(held + bytes) - toShared(held);
          if (more > 0 && shared + more > shared_bytes) return false;
          change(held + bytes);
          return true;
        },
        release: (bytes) => change(held - bytes),
      };
    },
  };
};
