import { pipeline, Readable } from 'node:stream';
import { promisify } from 'node:util';
import { crc32, createDeflateRaw, deflateRaw } from 'node:zlib';
import type { ArtifactFile } from './artifact-manifest.js';
import type { TakeFile } from './pack-reader.js';
import { toDescriptor, toDirectoryRecord, toEnd, toLocalHeader, toZipNames, type ZipEntry } from './zip-format.js';

/** Whoever makes it has other things to do with its CPUs. */
export const ARCHIVE_LEVEL = 1;
/** A file of at most so much is deflated in one piece. */
const SMALL_BYTES = 64 * 1024;
const CHUNK_BYTES = 64 * 1024;

const deflate = promisify(deflateRaw) as (bytes: Buffer, options: { level: number }) => Promise<Buffer>;

const toEntry = ({ bytes, mode, changed_at }: ArtifactFile, name: Buffer, offset: number): ZipEntry => ({
  name,
  mode,
  changed_at,
  method: 'deflated',
  crc: 0,
  packed_bytes: 0,
  bytes,
  offset,
  streamed: true,
});

const readWhole = async (chunks: AsyncIterable<Buffer>): Promise<Buffer> => {
  const all: Buffer[] = [];
  for await (const chunk of chunks) all.push(chunk);
  return Buffer.concat(all);
};

async function* writeSmall(entry: ZipEntry, content: Buffer): AsyncGenerator<Buffer> {
  const packed = await deflate(content, { level: ARCHIVE_LEVEL });
  const data = packed.length < content.length ? packed : content;
  Object.assign(entry, { crc: crc32(content), packed_bytes: data.length, streamed: false });
  if (data === content) entry.method = 'stored';
  yield toLocalHeader(entry);
  yield data;
}

async function* writeLarge(entry: ZipEntry, content: AsyncGenerator<Buffer>): AsyncGenerator<Buffer> {
  async function* sum(): AsyncGenerator<Buffer> {
    for await (const chunk of content) {
      entry.crc = crc32(chunk, entry.crc);
      yield chunk;
    }
  }
  yield toLocalHeader(entry);
  const packed = createDeflateRaw({ level: ARCHIVE_LEVEL });
  // Whoever reads the end of it is told of what goes wrong before it.
  packed.on('error', () => undefined);
  pipeline(Readable.from(sum(), { objectMode: false }), packed, () => undefined);
  for await (const chunk of packed) {
    entry.packed_bytes += (chunk as Buffer).length;
    yield chunk as Buffer;
  }
  yield toDescriptor(entry);
}

async function* write(files: ArtifactFile[], take: TakeFile): AsyncGenerator<Buffer> {
  const entries: ZipEntry[] = [];
  const names = toZipNames(files.map(({ path }) => path));
  let offset = 0;
  for (const [i, file] of files.entries()) {
    const entry = toEntry(file, names[i] as Buffer, offset);
    entries.push(entry);
    const written =
      file.bytes > SMALL_BYTES ? writeLarge(entry, take(file)) : writeSmall(entry, await readWhole(take(file)));
    for await (const chunk of written) {
      offset += chunk.length;
      yield chunk;
    }
  }
  let directory = 0;
  for (const entry of entries) {
    const record = toDirectoryRecord(entry);
    directory += record.length;
    yield record;
  }
  yield toEnd(entries.length, offset, directory);
}

/**
 * A zip of files, in their order, made as it is read; what is kept of them until the end is a line each. Throws where one of them cannot be
 * read whole.
 */
export async function* toZip(files: ArtifactFile[], take: TakeFile): AsyncGenerator<Buffer> {
  let held: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of write(files, take)) {
    held.push(chunk);
    bytes += chunk.length;
    if (bytes < CHUNK_BYTES) continue;
    yield Buffer.concat(held);
    held = [];
    bytes = 0;
  }
  yield Buffer.concat(held);
}
