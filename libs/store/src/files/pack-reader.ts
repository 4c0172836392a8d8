import type { ArtifactFile } from './artifact-manifest.js';

const NOTHING = Buffer.alloc(0);

/** Hands out a file's bytes. Files are asked for in the order in which they stand, each read to its end before the next. */
export type TakeFile = (file: ArtifactFile) => AsyncGenerator<Buffer>;

/** Reads a pack once, from front to back. Throws where it ends before a file does: what is short is never taken for whole. */
export const createPackReader = (pack: AsyncIterable<Buffer>): TakeFile => {
  const chunks = pack[Symbol.asyncIterator]();
  let rest: Buffer = NOTHING;
  let position = 0;
  const next = async (most: number): Promise<Buffer> => {
    while (rest.length === 0) {
      const { done, value } = await chunks.next();
      if (done) throw new Error(`the pack ends after ${position} bytes, which is too soon`);
      rest = value;
    }
    const piece = rest.subarray(0, most);
    rest = rest.subarray(piece.length);
    position += piece.length;
    return piece;
  };
  return async function* take({ offset, bytes }) {
    if (bytes > 0 && offset < position) throw new Error(`the pack was read up to ${position}, past ${offset}`);
    while (bytes > 0 && position < offset) await next(offset - position);
    for (let left = bytes; left > 0; ) {
      const piece = await next(left);
      left -= piece.length;
      yield piece;
    }
  };
};
