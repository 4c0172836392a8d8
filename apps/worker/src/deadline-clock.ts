/** Both in ms: of the wall, and one that nobody sets. */
export interface Clocks {
  wall: () => number;
  steady: () => number;
}

export const CLOCKS: Clocks = { wall: Date.now, steady: () => performance.now() };

/** By so much two clocks may come apart from one look to the next. */
const DRIFT_MS = 2_000;

/**
 * Tells the time by which the deadline of a container is judged, in Unix ms. A deadline is a time of the wall clock, and somebody may set that
 * clock. So how long is left is read from it once, when this process first sees the container, and counted down by a clock that nobody sets:
 * a job is neither killed too early nor left running for too long when the machine's clock jumps. Of a container that is new at the first
 * look after a jump nobody can tell by which clock its deadline was set; then it is the one that kills later.
 */
export interface DeadlineClock {
  /** Begins a look at these containers and forgets all others. True: the wall clock has jumped since the last look. */
  look(container_ids: Iterable<string>): boolean;
  now(container_id: string): number;
}

export const createDeadlineClock = ({ wall, steady }: Clocks = CLOCKS): DeadlineClock => {
  const readOffset = () => wall() - steady();
  const offsets = new Map<string, number>();
  let before = readOffset();
  let present = before;
  return {
    look(container_ids) {
      const ids = new Set(container_ids);
      for (const id of offsets.keys()) if (!ids.has(id)) offsets.delete(id);
      before = present;
      present = readOffset();
      return Math.abs(present - before) > DRIFT_MS;
    },
    now(container_id) {
      const offset = offsets.get(container_id) ?? Math.min(before, readOffset());
      offsets.set(container_id, offset);
      return offset + steady();
    },
  };
};
