import { CLOCKS, type Clocks } from '../deadline-clock.js';
import { readLeaseFile } from '../lease-file.js';
import type { Fence } from './judge.js';

export interface Fences {
  /** Undefined where no worker of this engine has left word of that installation. Rejects where its word cannot be read. */
  read(installation: string, engine: string): Promise<Fence | undefined>;
}

/**
 * The age of a lease is the longer of two: since its time by the wall clock, which also counts while this process did not run, and
 * since this process first saw that time, which also counts when the wall clock is set back.
 */
export const createFences = (dir: string, { wall, steady }: Clocks = CLOCKS): Fences => {
  const seen = new Map<string, { renewed_at: number; since: number }>();
  return {
    async read(installation, engine) {
      const lease = await readLeaseFile(dir, installation);
      if (lease?.engine !== engine) {
        seen.delete(installation);
        return undefined;
      }
      const { renewed_at, exclusive, lease_ms } = lease;
      const before = seen.get(installation);
      const since = before?.renewed_at === renewed_at ? before.since : steady();
      seen.set(installation, { renewed_at, since });
      return { exclusive, lease_ms, age_ms: Math.max(wall() - renewed_at, steady() - since) };
    },
  };
};
