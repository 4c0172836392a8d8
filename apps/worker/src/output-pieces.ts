import type { LogPiece } from '@berth/store';
import type { OutputStream } from './runtime/container-runtime.js';

/** Beyond the limit the last bytes of each stream are kept all the same: errors stand at the end. */
export const TAIL_BYTES = 32 * 1024;

export const STREAMS = ['stdout', 'stderr'] as const;

/** The last bytes of a stream, in a fixed amount of memory. */
export const createTail = () => {
  let ring = Buffer.alloc(0);
  let end = 0;
  let total = 0;
  return {
    get total() {
      return total;
    },
    push(chunk: Buffer): void {
      if (ring.length === 0) ring = Buffer.alloc(TAIL_BYTES);
      total += chunk.length;
      for (let rest = chunk.subarray(Math.max(0, chunk.length - TAIL_BYTES)); rest.length > 0; ) {
        const copied = rest.copy(ring, end);
        rest = rest.subarray(copied);
        end = (end + copied) % TAIL_BYTES;
      }
    },
    read: (): Buffer =>
      total < TAIL_BYTES ? ring.subarray(0, total) : Buffer.concat([ring.subarray(end), ring.subarray(0, end)]),
  };
};

const toCharacterLength = (first: number): number => (first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : first >= 0xc0 ? 2 : 1);

/** How many bytes at the end are the beginning of a UTF-8 character whose rest has not come yet: 0 to 3. */
export const countUnfinished = (bytes: Buffer): number => {
  for (let back = 1; back <= Math.min(3, bytes.length); back += 1) {
    const byte = bytes[bytes.length - back] ?? 0;
    if ((byte & 0xc0) !== 0x80) return toCharacterLength(byte) > back ? back : 0;
  }
  return 0;
};

/** How many bytes at the start are the rest of a UTF-8 character whose beginning is missing: 0 to 3. */
export const countHeadless = (bytes: Buffer): number => {
  const start = bytes.subarray(0, 4).findIndex((byte) => (byte & 0xc0) !== 0x80);
  return start > 0 && start <= 3 ? start : 0;
};

const NOTHING = Buffer.alloc(0);

/**
 * Output on its way to the store, in order of arrival. Pieces end between characters, so that each can be decoded alone: the beginning
 * of a character waits for its rest, which may come after a piece of the other stream.
 */
export const createPieceQueue = (attempt: number) => {
  let pending: { stream: OutputStream; chunks: Buffer[] }[] = [];
  const begun: Record<OutputStream, Buffer> = { stdout: NOTHING, stderr: NOTHING };
  let size = 0;
  const push = (stream: OutputStream, bytes: Buffer): void => {
    size += bytes.length;
    const current = pending.at(-1);
    if (current?.stream === stream) current.chunks.push(bytes);
    else pending.push({ stream, chunks: [bytes] });
  };
  /** What a character had begun with, without its rest. */
  const takeBegun = (stream: OutputStream): Buffer => {
    const bytes = begun[stream];
    begun[stream] = NOTHING;
    return bytes;
  };
  const take = (): LogPiece[] => {
    const pieces: LogPiece[] = [];
    for (const { stream, chunks } of pending) {
      const bytes = Buffer.concat([begun[stream], ...chunks]);
      const cut = bytes.length - countUnfinished(bytes);
      begun[stream] = bytes.subarray(cut);
      if (cut > 0) pieces.push({ stream, attempt, bytes: bytes.subarray(0, cut) });
    }
    pending = [];
    size = 0;
    return pieces;
  };
  return {
    get size() {
      return size;
    },
    push,
    takeBegun,
    /** All but characters that are not whole yet. */
    take,
    /** All: nothing more will come. */
    takeLast(): LogPiece[] {
      const pieces = take();
      for (const stream of STREAMS) {
        const bytes = takeBegun(stream);
        if (bytes.length > 0) pieces.push({ stream, attempt, bytes });
      }
      return pieces;
    },
  };
};

export type PieceQueue = ReturnType<typeof createPieceQueue>;
