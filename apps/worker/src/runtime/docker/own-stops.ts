const MOST = 4_096;

/** The containers that this runtime has sent a signal to, or removed: whatever kills them from then on is our own doing. */
export interface OwnStops {
  add(id: string): void;
  has(id: string): boolean;
}

/** Shared by all handles of a runtime. It forgets the oldest of some thousand, which are long gone. */
export const createOwnStops = (most = MOST): OwnStops => {
  const ids = new Set<string>();
  return {
    add: (id) => {
      ids.add(id);
      const [oldest] = ids;
      if (ids.size > most && oldest !== undefined) ids.delete(oldest);
    },
    has: (id) => ids.has(id),
  };
};
