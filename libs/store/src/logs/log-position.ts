import { FilesUnavailable } from '../files/file-store.js';
import type { LogPages } from './log-pages.js';
import { END, type StoredPiece, toBrokerBytes, toLost, toPlace, toStream } from './log-piece.js';
import type { LogSegment } from './log-segment.js';

/** How far an epoch's stored output goes, and what another worker needs to go on from there. */
export interface StoredPosition {
  stdout: { bytes: number; tail: Buffer };
  stderr: { bytes: number; tail: Buffer };
  /** The number of the last piece, 0 where there is none. */
  pieces: number;
  /** The output was too long, and its end stands there already: nothing more is to be added. */
  complete: boolean;
  /** How much of it stands in no segment yet, each piece as `toBrokerBytes` counts it. */
  unsealed_bytes: number;
}

/** So much of each stream's end is handed to whoever goes on. */
const TAIL_BYTES = 1024;
const STREAMS = ['stdout', 'stderr'] as const;
type OutputStream = (typeof STREAMS)[number];

/** The last bytes of both streams, from pieces that come newest first. */
const createEnds = () => {
  const parts: Record<OutputStream, Buffer[]> = { stdout: [], stderr: [] };
  const sizes = { stdout: 0, stderr: 0 };
  const open = new Set<OutputStream>(STREAMS);
  return {
    stop: () => open.clear(),
    /** Whether there may be more of them among so many bytes. */
    wants: (bytes: LogSegment['bytes']): boolean =>
      open.size > 0 && (bytes.note > 0 || [...open].some((stream) => bytes[stream] > 0)),
    /** A note ends them: what stands before it does not touch what follows. */
    add({ code, bytes }: StoredPiece): void {
      const stream = toStream(code);
      if (stream === 'note') open.clear();
      if (stream === 'note' || !open.has(stream)) return;
      parts[stream].unshift(bytes);
      sizes[stream] += bytes.length;
      if (sizes[stream] >= TAIL_BYTES) open.delete(stream);
    },
    read: (stream: OutputStream) => Buffer.concat(parts[stream]).subarray(-TAIL_BYTES),
  };
};

const createSums = () => {
  const sums = { stdout: 0, stderr: 0, pieces: 0, complete: false, unsealed_bytes: 0 };
  return {
    sums,
    addSegment({ bytes, lost, complete, last }: LogSegment): void {
      for (const stream of STREAMS) sums[stream] += bytes[stream] + lost[stream];
      sums.complete ||= complete;
      sums.pieces = Math.max(sums.pieces, toPlace(last)[1]);
    },
    addPiece({ id, code, bytes }: StoredPiece): void {
      const [stream, lost] = [toStream(code), toLost(code)];
      for (const one of STREAMS) sums[one] += lost[one] + (one === stream ? bytes.length : 0);
      sums.complete ||= code === END;
      sums.pieces = Math.max(sums.pieces, toPlace(id)[1]);
      sums.unsealed_bytes += toBrokerBytes({ bytes });
    },
  };
};

interface Wanted {
  epoch: number;
  /** Whether to look for the tails in segments and in the stream. */
  with_ends: boolean;
}

const read = async (pages: LogPages, job_id: string, { epoch, with_ends }: Wanted): Promise<StoredPosition> => {
  const ends = createEnds();
  if (!with_ends) ends.stop();
  const { sums, addSegment, addPiece } = createSums();
  let in_segments = false;
  const skips = (segment: LogSegment): boolean => {
    if (toPlace(segment.first)[0] !== epoch) return true;
    addSegment(segment);
    in_segments = true;
    return !ends.wants(segment.bytes);
  };
  for await (const piece of pages.readBackwards(job_id, { before: `${epoch + 1}-0`, skips })) {
    if (toPlace(piece.id)[0] !== epoch) break;
    if (!in_segments) addPiece(piece);
    ends.add(piece);
  }
  const { stdout, stderr, ...rest } = sums;
  const toStored = (stream: OutputStream, bytes: number) => ({ bytes, tail: ends.read(stream) });
  return { stdout: toStored('stdout', stdout), stderr: toStored('stderr', stderr), ...rest };
};

/**
 * Reads back from the end: what stands in the stream whole, and of the segments what the index has of them; their pieces only as far as
 * a tail is missing. Only the epoch's present owner adds to it or seals it, so it stands still while its next owner asks.
 * A file store that is away keeps nobody from going on: then the tails are empty, as they are behind a note.
 */
export const readPosition = (pages: LogPages, job_id: string, epoch: number): Promise<StoredPosition> =>
  read(pages, job_id, { epoch, with_ends: true }).catch((error) => {
    if (error instanceof FilesUnavailable) return read(pages, job_id, { epoch, with_ends: false });
    throw error;
  });
