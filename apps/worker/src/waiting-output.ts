import type { LogNote, LogPiece } from '@berth/store';
import type { OutputShare } from './output-budget.js';

type Piece = LogPiece | LogNote;
type Lost = { stdout: number; stderr: number };

const NOTHING: Lost = { stdout: 0, stderr: 0 };

const add = (a: Lost, b: Lost): Lost => ({ stdout: a.stdout + b.stdout, stderr: a.stderr + b.stderr });

const toNotedLoss = (piece: Piece): Lost | undefined =>
  'about' in piece && piece.about !== 'end' ? piece.about : undefined;

/** How much of each stream is missing where a piece is. */
const toLost = (piece: Piece): Lost =>
  piece.stream === 'note' ? (toNotedLoss(piece) ?? NOTHING) : { ...NOTHING, [piece.stream]: piece.bytes.length };

const toLossNote = (attempt: number, about: Lost): LogNote => {
  const bytes = Buffer.from(`\n[berth] ${about.stdout + about.stderr} bytes of output could not be stored\n`);
  return { stream: 'note', attempt, bytes, about };
};

/** What is lost since the last piece that the store took. */
export const createLosses = (attempt: number) => {
  let lost = NOTHING;
  return {
    add(refused: Piece[]): void {
      lost = refused.map(toLost).reduce(add, lost);
    },
    /** As the note that stands in their place. */
    take(): LogNote[] {
      const about = lost;
      lost = NOTHING;
      return about.stdout + about.stderr === 0 ? [] : [toLossNote(attempt, about)];
    },
  };
};

/** Pieces that wait to be sent, in order. Where there is no more room for them, a note of their loss stands in their place. */
export const createWaitingPieces = (attempt: number, share: OutputShare) => {
  const pieces: Piece[] = [];
  let size = 0;
  const lose = (piece: Piece): void => {
    const last = pieces.at(-1);
    const noted = last && toNotedLoss(last);
    if (noted) pieces.pop();
    pieces.push(toLossNote(attempt, add(noted ?? NOTHING, toLost(piece))));
  };
  return {
    get count() {
      return pieces.length;
    },
    get size() {
      return size;
    },
    push(piece: Piece): void {
      const held = toHeldSize([piece]);
      if (held > 0 && !share.take(held)) lose(piece);
      else {
        pieces.push(piece);
        size += held;
      }
    },
    /** The next ones, at least one: no more than so many, and of so many bytes. */
    take(most: number, most_bytes: number): Piece[] {
      let bytes = 0;
      const end = pieces.slice(0, most).findIndex((piece) => {
        bytes += toHeldSize([piece]);
        return bytes > most_bytes;
      });
      const taken = pieces.splice(0, end === -1 ? most : Math.max(1, end));
      size -= toHeldSize(taken);
      return taken;
    },
    /** They have been stored, or are lost. */
    release: (taken: Piece[]): void => share.release(toHeldSize(taken)),
  };
};

const toHeldSize = (pieces: Piece[]): number =>
  pieces.reduce((sum, { stream, bytes }) => sum + (stream === 'note' ? 0 : bytes.length), 0);
