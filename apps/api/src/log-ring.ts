import { compareIds, type LogEntry } from '@berth/store';

/** What a piece counts beside its bytes. */
const PIECE_BYTES = 200;

export interface RingPlace {
  entry: LogEntry;
  number: number;
}

/** The last pieces of a log, for many readers: a bounded row that grows at its end and is thrown away at its beginning. */
export const createLogRing = (most_bytes: number) => {
  /** `end`: what has been pushed up to here, of all that ever was. */
  const held: { entry: LogEntry; end: number }[] = [];
  let pushed = 0;
  let thrown = 0;
  /** Up to where some reader has come. */
  let taken = 0;
  /** The number of the first piece that is held, counted from the ring's beginning. */
  let first = 0;
  let base = '-';

  const throwFirst = (): void => {
    const gone = held.shift();
    if (!gone) return;
    thrown = gone.end;
    base = gone.entry.id;
    first += 1;
  };
  const findNumber = (after: string): number => {
    let [from, to] = [0, held.length];
    while (from < to) {
      const middle = (from + to) >> 1;
      if (compareIds(held[middle]?.entry.id ?? '', after) > 0) to = middle;
      else from = middle + 1;
    }
    return first + from;
  };

  return {
    /** The id of the last piece: of the ring, or before it. */
    get last() {
      return held.at(-1)?.entry.id ?? base;
    },
    /** Half of what it holds nobody has taken yet: what is pushed now could push out what the first reader is to have. */
    get isFull() {
      return pushed - taken >= most_bytes / 2;
    },
    /** Begins behind the piece of this id. */
    begin(after: string): void {
      base = after;
    },
    push(entry: LogEntry): void {
      pushed += entry.bytes.length + PIECE_BYTES;
      held.push({ entry, end: pushed });
      while (pushed - thrown > most_bytes && held.length > 1) throwFirst();
    },
    /** What follows a piece: `behind` where that is not held any more. `number`: the one after the reader's last, where they have one. */
    after(last: string, number?: number): RingPlace | 'behind' | 'end' {
      const known = number !== undefined && number >= first;
      if (!known && base !== '-' && (last === '-' || compareIds(last, base) < 0)) return 'behind';
      const next = known ? number : findNumber(last === '-' ? '0-0' : last);
      const found = held[next - first];
      return found ? { entry: found.entry, number: next } : 'end';
    },
    /** A reader has taken this one; where none is named, they have all that is held, perhaps from elsewhere. */
    take(place?: RingPlace): void {
      const from = (place?.number ?? Number.POSITIVE_INFINITY) - first;
      taken = Math.max(taken, from < 0 ? thrown : (held[from]?.end ?? pushed));
    },
  };
};
