import { Readable } from 'node:stream';
import type { FileStore } from '@berth/store';
import { type Entry, fromRandomAccessReaderPromise, RandomAccessReader, type ZipFile } from 'yauzl';
import { type FoundInput, openRange, readInput } from './read-input.js';
import { BadArchive } from './read-tar.js';
import type { Member } from './unpack.js';

/** A zip is read here and there in small pieces; each request to the store brings so much. */
const BLOCK_BYTES = 1024 * 1024;
const BLOCKS = 4;
const FILE_TYPE = 0o170000;
const FOLDER = 0o040000;
const REGULAR = 0o100000;
const MADE_ON_UNIX = 3;

class StoredZip extends RandomAccessReader {
  fault: unknown;
  private readonly blocks = new Map<number, Promise<Buffer>>();

  constructor(
    private readonly files: Pick<FileStore, 'read'>,
    private readonly found: FoundInput,
  ) {
    super();
  }

  override _readStreamForRange(start: number, end: number): Readable {
    return Readable.from(this.readRange(start, end), { objectMode: false });
  }

  private async *readRange(start: number, end: number): AsyncGenerator<Buffer> {
    try {
      if (end - start > BLOCK_BYTES) yield* await openRange(this.files, this.found, { start, end });
      else yield* this.readBlocks(start, end);
    } catch (error) {
      this.fault ??= error;
      throw error;
    }
  }

  private async *readBlocks(start: number, end: number): AsyncGenerator<Buffer> {
    for (let at = start; at < end; ) {
      const number = Math.floor(at / BLOCK_BYTES);
      const block = await this.readBlock(number);
      const from = at - number * BLOCK_BYTES;
      const piece = block.subarray(from, from + end - at);
      if (piece.length === 0) throw new BadArchive('it breaks off');
      yield piece;
      at += piece.length;
    }
  }

  private readBlock(number: number): Promise<Buffer> {
    const known = this.blocks.get(number);
    this.blocks.delete(number);
    const block = known ?? this.fetchBlock(number);
    this.blocks.set(number, block);
    const [oldest] = this.blocks.keys();
    if (this.blocks.size > BLOCKS && oldest !== undefined) this.blocks.delete(oldest);
    return block;
  }

  private async fetchBlock(number: number): Promise<Buffer> {
    const start = number * BLOCK_BYTES;
    const end = Math.min(start + BLOCK_BYTES, this.found.upload.bytes);
    const chunks: Buffer[] = [];
    for await (const chunk of await openRange(this.files, this.found, { start, end })) chunks.push(chunk as Buffer);
    return Buffer.concat(chunks);
  }
}

const toKind = (entry: Entry): Member['kind'] => {
  const named = entry.fileName.endsWith('/') ? 'folder' : 'file';
  if (entry.versionMadeBy >>> 8 !== MADE_ON_UNIX) return named;
  const type = (entry.externalFileAttributes >>> 16) & FILE_TYPE;
  if (type === 0) return named;
  if (type === FOLDER) return 'folder';
  return type === REGULAR ? named : 'other';
};

const toFault = (error: unknown, { fault }: StoredZip): unknown =>
  fault ?? (error instanceof Error ? new BadArchive(error.message) : error);

const readBody = async function* (zip: ZipFile, reader: StoredZip, entry: Entry): AsyncGenerator<Buffer> {
  try {
    yield* unzip(zip, entry);
  } catch (error) {
    throw toFault(error, reader);
  }
};

const unzip = async function* (zip: ZipFile, entry: Entry): AsyncGenerator<Buffer> {
  if (!entry.canDecodeFileData())
    throw new BadArchive(`${entry.fileName} is encrypted, or packed in a way that is not known`);
  for await (const chunk of await zip.openReadStreamPromise(entry)) yield chunk as Buffer;
};

/** Read once to its end first: what is read here and there afterwards is then known to be what was uploaded. */
export const readZip = async function* (files: Pick<FileStore, 'read'>, found: FoundInput): AsyncGenerator<Member> {
  for await (const _ of readInput(files, found));
  const reader = new StoredZip(files, found);
  try {
    const options = { lazyEntries: true, autoClose: false, strictFileNames: true };
    const zip = await fromRandomAccessReaderPromise(reader, found.upload.bytes, options);
    for await (const entry of zip.eachEntry()) {
      const executable =
        ((entry.externalFileAttributes >>> 16) & 0o100) !== 0 && entry.versionMadeBy >>> 8 === MADE_ON_UNIX;
      const kind = toKind(entry);
      const body = readBody(zip, reader, entry);
      yield { name: entry.fileName, kind, bytes: kind === 'file' ? entry.uncompressedSize : 0, executable, body };
    }
  } catch (error) {
    throw toFault(error, reader);
  }
};
