import { Readable } from 'node:stream';
import { extract, type Header } from 'tar-stream';

export interface ReadEntry {
  header: Header;
  body: AsyncIterable<Buffer>;
}

/** An archive that is none, or is not whole. */
export class BadArchive extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'BadArchive';
  }
}

interface Seen {
  fault: unknown;
  /** How much came so far, and from where on it is nothing but zeros. */
  bytes: number;
  zeros_from: number;
  /** Where the next header has to stand, by the last entry that was read. */
  next_header: number;
}

const BLOCK_BYTES = 512;
const ZEROS = Buffer.alloc(64 * 1024);

const countZerosAtEnd = (chunk: Uint8Array): number => {
  if (chunk.length <= ZEROS.length && ZEROS.compare(chunk, 0, chunk.length, 0, chunk.length) === 0) return chunk.length;
  let from = chunk.length;
  while (from > 0 && chunk[from - 1] === 0) from -= 1;
  return chunk.length - from;
};

const note = (seen: Seen, chunk: Uint8Array): void => {
  const zeros = countZerosAtEnd(chunk);
  seen.bytes += chunk.length;
  if (zeros < chunk.length) seen.zeros_from = seen.bytes - zeros;
};

/** Two blocks of zeros where a header has to stand. What was not parsed yet stands behind `next_header` and is no zeros, so it is never said too soon. */
const isAtEnd = ({ bytes, zeros_from, next_header }: Seen): boolean =>
  zeros_from <= next_header && bytes >= next_header + 2 * BLOCK_BYTES;

/** `to_end`: also what stands behind the end of the tar, of which there may be any amount. */
const watch = async function* (source: AsyncIterable<Uint8Array>, seen: Seen, to_end: boolean) {
  try {
    for await (const chunk of source) {
      note(seen, chunk);
      yield chunk;
      if (to_end || !isAtEnd(seen)) continue;
      yield ZEROS.subarray(0, (BLOCK_BYTES - (seen.bytes % BLOCK_BYTES)) % BLOCK_BYTES);
      return;
    }
  } catch (error) {
    seen.fault = error;
    throw error;
  }
};

const toFault = (error: unknown, { fault }: Seen): unknown =>
  fault ?? new BadArchive(error instanceof Error ? error.message : String(error));

const readBody = async function* (body: AsyncIterable<Buffer>, seen: Seen) {
  try {
    yield* body;
  } catch (error) {
    throw toFault(error, seen);
  }
};

/** A folder has no body, whatever size it says. `byteOffset` is where the body begins. */
const toNextHeader = ({ type, size = 0, ...header }: Header): number => {
  const { byteOffset } = header as { byteOffset?: number };
  if (byteOffset === undefined) return Number.POSITIVE_INFINITY;
  return byteOffset + (type === 'directory' ? 0 : Math.ceil(size / BLOCK_BYTES) * BLOCK_BYTES);
};

/**
 * The entries of a tar, one after the other; a body that is not read is passed over. `requires_end`: a tar that does not end as one has to was cut
 * off, and its source is read to its own end; otherwise not much further than to the tar's. Throws BadArchive, and what the source throws as it is.
 */
export const readTar = async function* (
  source: AsyncIterable<Uint8Array>,
  { requires_end = false } = {},
): AsyncGenerator<ReadEntry> {
  const seen: Seen = { fault: undefined, bytes: 0, zeros_from: 0, next_header: 0 };
  const entries = extract();
  const bytes = Readable.from(watch(source, seen, requires_end), { objectMode: false });
  bytes.on('error', (error) => entries.destroy(error));
  bytes.pipe(entries);
  try {
    for await (const entry of entries) {
      seen.next_header = toNextHeader(entry.header);
      yield { header: entry.header, body: readBody(entry as AsyncIterable<Buffer>, seen) };
      entry.resume();
    }
  } catch (error) {
    throw toFault(error, seen);
  } finally {
    bytes.destroy();
    entries.destroy();
  }
  if (requires_end && seen.bytes - seen.zeros_from < BLOCK_BYTES) {
    throw new BadArchive('it breaks off');
  }
};
