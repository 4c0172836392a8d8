import { promisify } from 'node:util';
import { gunzip, gzip } from 'node:zlib';
import type { StoredPiece } from './log-piece.js';

/**
 * A segment is the gzip of one byte, its version, and a frame a piece: the length of a head and the head, the length of the bytes and the bytes,
 * lengths as 32 bits, big end first. The head is text: id, code, attempt and time, with spaces between; `-` is no time.
 */
const VERSION = 1;
const LENGTH_BYTES = 4;
/** More than any segment of ours has: what is damaged must not fill the memory. */
const MAX_RAW_BYTES = 256 * 1024 * 1024;

const deflate = promisify<Uint8Array, object, Buffer>(gzip);
const inflate = promisify<Uint8Array, object, Buffer>(gunzip);

/** What stands where a segment should and cannot be read. */
export class SegmentDamaged extends Error {
  constructor(why: string) {
    super(`This is no segment of a log: ${why}`);
    this.name = 'SegmentDamaged';
  }
}

const toLength = (length: number): Buffer => {
  const bytes = Buffer.alloc(LENGTH_BYTES);
  bytes.writeUInt32BE(length);
  return bytes;
};

export const toFrames = (pieces: StoredPiece[]): Buffer =>
  Buffer.concat([
    Buffer.of(VERSION),
    ...pieces.flatMap(({ id, code, attempt, at, bytes }) => {
      const head = Buffer.from(`${id} ${code} ${attempt} ${at ?? '-'}`);
      return [toLength(head.length), head, toLength(bytes.length), bytes];
    }),
  ]);

const HEAD = /^(\d+-\d+) (\S+) (\d+) (\d+|-)$/;

const createCursor = (bytes: Buffer) => {
  let at = 1;
  const take = (count: number): Buffer => {
    if (at + count > bytes.length) throw new SegmentDamaged('it ends in the midst of a piece');
    at += count;
    return bytes.subarray(at - count, at);
  };
  return {
    get over() {
      return at >= bytes.length;
    },
    takeField: () => take(take(LENGTH_BYTES).readUInt32BE()),
  };
};

/** Throws SegmentDamaged. Each piece has memory of its own, so that whoever holds one does not hold all. */
export const parseFrames = (frames: Buffer): StoredPiece[] => {
  if (frames[0] !== VERSION) throw new SegmentDamaged('its version is not known');
  const pieces: StoredPiece[] = [];
  for (const cursor = createCursor(frames); !cursor.over; ) {
    const head = HEAD.exec(cursor.takeField().toString());
    if (!head) throw new SegmentDamaged('a piece has no head');
    const [, id = '', code = '', attempt, at] = head;
    const bytes = Buffer.from(cursor.takeField());
    pieces.push({ id, code, attempt: Number(attempt), at: at === '-' ? null : Number(at), bytes });
  }
  return pieces;
};

export const packSegment = (pieces: StoredPiece[]): Promise<Buffer> => deflate(toFrames(pieces), { level: 1 });

/** Throws SegmentDamaged. */
export const unpackSegment = async (packed: Uint8Array): Promise<StoredPiece[]> => {
  const frames = await inflate(packed, { maxOutputLength: MAX_RAW_BYTES }).catch((error: Error) => {
    throw new SegmentDamaged(error.message);
  });
  return parseFrames(frames);
};
