/** Virtual time and what is to happen in it. What was put down first happens first where the times are equal. */
export interface Agenda {
  /** Milliseconds. */
  readonly now: number;
  at(time: number, run: () => void): void;
  after(ms: number, run: () => void): void;
  /** Goes on to the next entry and runs it. False: nothing is left. */
  step(): boolean;
}

interface Entry {
  time: number;
  seq: number;
  run: () => void;
}

const isBefore = (a: Entry, b: Entry): boolean => a.time < b.time || (a.time === b.time && a.seq < b.seq);

const siftUp = (heap: Entry[], entry: Entry): void => {
  let i = heap.length;
  heap.push(entry);
  while (i > 0) {
    const parent = (i - 1) >> 1;
    const above = heap[parent] as Entry;
    if (isBefore(above, entry)) break;
    heap[i] = above;
    i = parent;
  }
  heap[i] = entry;
};

const siftDown = (heap: Entry[], entry: Entry): void => {
  let i = 0;
  for (;;) {
    let child = 2 * i + 1;
    if (child >= heap.length) break;
    const right = heap[child + 1];
    if (right && isBefore(right, heap[child] as Entry)) child += 1;
    const below = heap[child] as Entry;
    if (isBefore(entry, below)) break;
    heap[i] = below;
    i = child;
  }
  heap[i] = entry;
};

export const createAgenda = (): Agenda => {
  const heap: Entry[] = [];
  let now = 0;
  let seq = 0;
  const at = (time: number, run: () => void): void => siftUp(heap, { time: Math.max(time, now), seq: seq++, run });
  return {
    get now() {
      return now;
    },
    at,
    after: (ms, run) => at(now + ms, run),
    step() {
      const first = heap[0];
      const last = heap.pop();
      if (!(first && last)) return false;
      if (heap.length > 0) siftDown(heap, last);
      now = first.time;
      first.run();
      return true;
    },
  };
};
