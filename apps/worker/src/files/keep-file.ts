import { createHash } from 'node:crypto';

/** How a file system keeps a file: a hole is whole blocks of zeros. */
const BLOCK = 4096;
/** So many zeros may be kept of one attempt in any case, and beyond it three for each other byte: holes cost a job nothing. */
const FREE_ZEROS = 64 * 1024 ** 2;
const ZEROS_PER_BYTE = 3;
const ZEROS = Buffer.alloc(64 * 1024);

/** What was written of all files of an attempt so far: blocks of nothing but zeros, and the rest. */
export interface Written {
  zeros: number;
  others: number;
}

/** Of a piece of a file that begins at `offset`. */
const countZeros = (chunk: Buffer, offset: number): number => {
  let zeros = 0;
  for (let from = 0; from < chunk.length; ) {
    const to = Math.min(chunk.length, from + BLOCK - ((offset + from) % BLOCK));
    if (chunk[from] === 0 && chunk.compare(ZEROS, 0, to - from, from, to) === 0) zeros += to - from;
    from = to;
  }
  return zeros;
};

/**
 * A file's bytes on their way, and at the end their hash. The archive has a sparse file's holes as zeros, so a run of zeros is held back, as a number, until
 * something else follows or the file ends. Undefined: there would be too many of them; what came before the run was given on already.
 */
export const keepFile = async function* (
  body: AsyncIterable<Buffer>,
  written: Written,
): AsyncGenerator<Buffer, string | undefined> {
  const hash = createHash('sha256');
  let [offset, held, refused] = [0, 0, false];
  const flush = function* () {
    written.zeros += held;
    for (; held > 0; held -= Math.min(held, ZEROS.length)) {
      const zeros = ZEROS.subarray(0, held);
      hash.update(zeros);
      yield zeros;
    }
  };
  for await (const chunk of body) {
    // To the end also of one that is refused: an archive is not broken off for it.
    if (refused) continue;
    const zeros = countZeros(chunk, offset);
    offset += chunk.length;
    const excess = written.zeros + held + zeros - FREE_ZEROS - ZEROS_PER_BYTE * written.others;
    refused = zeros > 0 && excess > 0;
    if (refused) continue;
    if (zeros === chunk.length) {
      held += zeros;
      continue;
    }
    yield* flush();
    written.zeros += zeros;
    written.others += chunk.length - zeros;
    hash.update(chunk);
    yield chunk;
  }
  if (refused) return undefined;
  yield* flush();
  return hash.digest('hex');
};
