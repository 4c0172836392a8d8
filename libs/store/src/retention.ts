import type { Scripts } from './scripts.js';

export const createRetention = (scripts: Scripts) => ({
  /** Removes up to `limit` jobs that finished before the given Unix milliseconds, with their history and logs. */
  async forget(finished_before: number, limit = 200): Promise<number> {
    return (await scripts.run('forget', finished_before, limit)) as number;
  },

  /** The same of arrays that have ended. */
  async forgetArrays(finished_before: number, limit = 200): Promise<number> {
    return (await scripts.run('forget-arrays', finished_before, limit)) as number;
  },
});
