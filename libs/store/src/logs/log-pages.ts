import type { Scripts } from '../scripts.js';
import { compareIds, type RawEntry, type StoredPiece, toPiece } from './log-piece.js';
import { type LogSegment, parseSegment } from './log-segment.js';
import type { SegmentFiles } from './segment-files.js';

/** At most so many pieces come at once, however small they are. */
const MOST_PIECES = 1_024;

type Direction = 'after' | 'before';
type Neighbours = { kind: 'pieces'; pieces: StoredPiece[] } | { kind: 'segment'; segment: LogSegment };

const isWithin = (direction: Direction, id: string, place: string): boolean =>
  place === '' || (direction === 'after' ? compareIds(id, place) > 0 : compareIds(id, place) < 0);

/** As many as have so many bytes together, at least one. */
const takeBytes = (pieces: StoredPiece[], max_bytes: number): StoredPiece[] => {
  let size = 0;
  const end = pieces.findIndex(({ bytes }) => {
    size += bytes.length;
    return size > max_bytes;
  });
  return end === -1 ? pieces : pieces.slice(0, Math.max(1, end));
};

/** The place of the first one for which `test` holds, as it does for all behind it. */
const findFirst = (pieces: StoredPiece[], test: (piece: StoredPiece) => boolean): number => {
  let [from, to] = [0, pieces.length];
  while (from < to) {
    const middle = (from + to) >> 1;
    const piece = pieces[middle];
    if (piece && test(piece)) to = middle;
    else from = middle + 1;
  }
  return from;
};

type Skips = (segment: LogSegment) => boolean;

export interface Backwards {
  /** Only what comes before this piece. */
  before?: string;
  /** Where it says so a segment is passed over without being read. */
  skips?: Skips;
}

/** How many readers are remembered to stand in the midst of a segment. */
const MOST_REMEMBERED = 4_096;

/** Which segment goes on behind a piece: segments never change, so whoever reads on in one need not ask again where it is. */
const createPlaces = () => {
  const segments = new Map<string, LogSegment>();
  return {
    find(job_id: string, place: string): LogSegment | undefined {
      return segments.get(`${job_id} ${place}`);
    },
    note(job_id: string, place: string, segment: LogSegment): void {
      if (place === segment.last) return;
      segments.set(`${job_id} ${place}`, segment);
      const [oldest] = segments.size > MOST_REMEMBERED ? segments.keys() : [];
      if (oldest !== undefined) segments.delete(oldest);
    },
  };
};

interface PagesOptions {
  scripts: Scripts;
  segments: SegmentFiles;
  listSegments: (job_id: string) => Promise<LogSegment[]>;
}

/** Pieces of a log from any place on, wherever they stand: one look at the broker says what is next, a segment or pieces of the stream. */
export const createLogPages = ({ scripts, segments, listSegments }: PagesOptions) => {
  const places = createPlaces();
  const look = async (job_id: string, to: Direction, place: string, max_bytes: number): Promise<Neighbours> => {
    const reply = await scripts.runRaw('read-log', job_id, to, place, MOST_PIECES, max_bytes);
    const [kind, found] = reply as [Buffer, Buffer | RawEntry[]];
    return kind.toString() === 'segment'
      ? { kind: 'segment', segment: parseSegment(found.toString()) }
      : { kind: 'pieces', pieces: (found as RawEntry[]).map(toPiece) };
  };
  const lookAfter = async (job_id: string, place: string, max_bytes: number): Promise<Neighbours> => {
    const segment = places.find(job_id, place);
    return segment ? { kind: 'segment', segment } : look(job_id, 'after', place, max_bytes);
  };
  /** All segments up to a place were there when the first of them was, so the index is read once. */
  async function* readSegmentsBack(job_id: string, place: string, skips: Skips): AsyncGenerator<StoredPiece> {
    const before = (await listSegments(job_id)).filter(({ first }) => isWithin('before', first, place));
    for (const segment of before.reverse()) {
      const whole = isWithin('before', segment.last, place);
      if (whole && skips(segment)) continue;
      const pieces = await segments.read(segment);
      yield* pieces.filter(({ id }) => isWithin('before', id, place)).reverse();
    }
  }

  return {
    /** Oldest first, at least one where there is one. An empty `place` is the beginning. */
    async readAfter(job_id: string, place: string, max_bytes: number): Promise<StoredPiece[]> {
      const next = await lookAfter(job_id, place, max_bytes);
      if (next.kind === 'pieces') return next.pieces;
      const pieces = await segments.read(next.segment);
      const from = findFirst(pieces, ({ id }) => isWithin('after', id, place));
      const page = takeBytes(pieces.slice(from, from + MOST_PIECES), max_bytes);
      places.note(job_id, page.at(-1)?.id ?? place, next.segment);
      return page;
    },

    /** The id of the last piece; undefined where there is none. */
    async readEnd(job_id: string): Promise<string | undefined> {
      const last = await look(job_id, 'before', '', 1);
      return last.kind === 'segment' ? last.segment.last : last.pieces[0]?.id;
    },

    /** Newest first. */
    async *readBackwards(
      job_id: string,
      { before = '', skips = () => false }: Backwards = {},
    ): AsyncGenerator<StoredPiece> {
      for (let place = before; ; ) {
        const next = await look(job_id, 'before', place, PAGE_BYTES);
        if (next.kind === 'segment') return yield* readSegmentsBack(job_id, place, skips);
        if (next.pieces.length === 0) return;
        yield* next.pieces;
        place = next.pieces.at(-1)?.id ?? '';
      }
    },
  };
};

const PAGE_BYTES = 256 * 1024;

export type LogPages = ReturnType<typeof createLogPages>;
