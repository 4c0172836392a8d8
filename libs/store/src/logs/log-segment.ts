import { objectNames } from '../files/file-store.js';
import { END, type LogStream, type StoredPiece, toLost, toPlace, toStream } from './log-piece.js';

type Counts = Record<LogStream, number>;

/** What the index knows of a segment: pieces of one epoch that stand in one object of the file store, and no longer in the stream. */
export interface LogSegment {
  /** Ids of its first and last piece. */
  first: string;
  last: string;
  object: string;
  attempt: number;
  bytes: Counts;
  /** Newlines. */
  lines: Counts;
  /** Bytes that its notes say are missing. */
  lost: { stdout: number; stderr: number };
  /** The end of an output that was too long stands in it. */
  complete: boolean;
  /** Of the object. */
  compressed_bytes: number;
  /** Unix ms of the first and last piece that have a time. */
  first_at: number | null;
  last_at: number | null;
}

const NEWLINE = 0x0a;

export const countLines = (bytes: Uint8Array): number => {
  let count = 0;
  for (let at = bytes.indexOf(NEWLINE); at !== -1; at = bytes.indexOf(NEWLINE, at + 1)) count += 1;
  return count;
};

/** Of at least one piece, all of one epoch. */
export const toSegment = (job_id: string, pieces: StoredPiece[], compressed_bytes: number): LogSegment => {
  const [first, last] = [pieces[0], pieces.at(-1)];
  if (!first || !last) throw new Error('a segment has at least one piece');
  const [bytes, lines, lost] = [toNothing(), toNothing(), { stdout: 0, stderr: 0 }];
  for (const piece of pieces) {
    const stream = toStream(piece.code);
    bytes[stream] += piece.bytes.length;
    lines[stream] += countLines(piece.bytes);
    const missing = toLost(piece.code);
    lost.stdout += missing.stdout;
    lost.stderr += missing.stderr;
  }
  const times = pieces.flatMap(({ at }) => (at === null ? [] : [at]));
  const [epoch, from] = toPlace(first.id);
  return {
    first: first.id,
    last: last.id,
    object: objectNames.logSegment(job_id, epoch, from, toPlace(last.id)[1]),
    attempt: first.attempt,
    bytes,
    lines,
    lost,
    complete: pieces.some(({ code }) => code === END),
    compressed_bytes,
    first_at: times[0] ?? null,
    last_at: times.at(-1) ?? null,
  };
};

const toNothing = (): Counts => ({ stdout: 0, stderr: 0, note: 0 });

export const parseSegment = (text: string): LogSegment => JSON.parse(text) as LogSegment;
