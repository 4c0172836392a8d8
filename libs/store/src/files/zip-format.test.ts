import { Readable } from 'node:stream';
import { crc32 } from 'node:zlib';
import { expect, it } from 'vitest';
import { type Entry, fromBufferPromise, fromRandomAccessReaderPromise, RandomAccessReader } from 'yauzl';
import { toDescriptor, toDirectoryRecord, toEnd, toLocalHeader, toZipNames, type ZipEntry } from './zip-format.js';

const GIB = 1024 ** 3;

const toEntry = (name: string, bytes: number, offset: number, more: Partial<ZipEntry> = {}): ZipEntry => ({
  ...{ name: Buffer.from(name), mode: 0o644, changed_at: 1_700_000_000, method: 'stored', crc: 0 },
  ...{ packed_bytes: bytes, bytes, offset, streamed: false },
  ...more,
});

/** Files of so many bytes; what is not there is zeros, of which nothing is kept. */
class SparseReader extends RandomAccessReader {
  constructor(private readonly pieces: [offset: number, bytes: Buffer][]) {
    super();
  }
  override _readStreamForRange(start: number, end: number): Readable {
    const all = Buffer.alloc(end - start);
    for (const [offset, bytes] of this.pieces) {
      if (offset >= end || offset + bytes.length <= start) continue;
      bytes.copy(all, Math.max(0, offset - start), Math.max(0, start - offset));
    }
    return Readable.from([all], { objectMode: false });
  }
}

/** Another reader's view of a zip of these files, one behind the other, of which only the last one's bytes are there. */
const readBack = async (sizes: [string, number][], last: [string, string]) => {
  const pieces: [number, Buffer][] = [];
  const entries: ZipEntry[] = [];
  let offset = 0;
  const place = (bytes: Buffer): void => {
    pieces.push([offset, bytes]);
    offset += bytes.length;
  };
  const [name, content] = [last[0], Buffer.from(last[1])];
  for (const [one, bytes] of [...sizes, [name, content.length] as const]) {
    const entry = toEntry(one, bytes, offset, one === name ? { crc: crc32(content) } : {});
    entries.push(entry);
    place(toLocalHeader(entry));
    if (one === name) place(content);
    else offset += bytes;
  }
  const begin = offset;
  for (const entry of entries) place(toDirectoryRecord(entry));
  place(toEnd(entries.length, begin, offset - begin));
  const zip = await fromRandomAccessReaderPromise(new SparseReader(pieces), offset, { autoClose: false });
  const found: Entry[] = [];
  for await (const entry of zip.eachEntry()) found.push(entry);
  const chunks: Buffer[] = [];
  for await (const chunk of await zip.openReadStreamPromise(found.at(-1) as Entry)) chunks.push(chunk as Buffer);
  return {
    offset,
    files: found.map(({ fileName, uncompressedSize, compressedSize }) => [fileName, uncompressedSize, compressedSize]),
    last: String(Buffer.concat(chunks)),
  };
};

it('a file above 4 GiB and one that begins behind it are read back', async () => {
  const zip = await readBack([['large', 5 * GIB]], ['behind', 'found']);
  expect(zip).toMatchObject({
    files: [
      ['large', 5 * GIB, 5 * GIB],
      ['behind', 5, 5],
    ],
    last: 'found',
  });
});

it.each([3.75 * GIB, 3.75 * GIB + 1, 4 * GIB - 1, 4 * GIB])(
  'so is one of %d bytes, and a directory that begins there',
  async (bytes) => {
    const { files } = await readBack([['edge', bytes]], ['behind', 'x']);
    expect(files[0]).toEqual(['edge', bytes, bytes]);
    const header = toLocalHeader(toEntry('', 0, 0)).length;
    const zip = await readBack([['edge', bytes - 2 * header - 'edgelast'.length - 1]], ['last', 'x']);
    expect(zip).toMatchObject({
      files: [
        ['edge', expect.any(Number), expect.any(Number)],
        ['last', 1, 1],
      ],
      last: 'x',
    });
  },
);

it.each([65_534, 65_535, 65_536])('%d files are counted, and the first is found', async (count) => {
  const record = toDirectoryRecord(toEntry('a', 0, 0));
  const directory = Buffer.alloc(count * record.length, record);
  const zip = await fromBufferPromise(Buffer.concat([directory, toEnd(count, 0, directory.length)]));
  const { value } = await zip.eachEntry()[Symbol.asyncIterator]().next();
  expect([zip.entryCount, value?.fileName]).toEqual([count, 'a']);
});

it('a large file whose size comes behind its data has eight bytes for each size, in front and behind', () => {
  const entry = toEntry('large', 5 * GIB, 0, { streamed: true, packed_bytes: 4.5 * GIB, crc: 7 });
  const header = toLocalHeader(entry);
  expect([header.readUInt32LE(18), header.readUInt32LE(22)]).toEqual([0xffff_ffff, 0xffff_ffff]);
  expect(header.subarray(-20)).toEqual(Buffer.from(`01001000${'00'.repeat(16)}`, 'hex'));
  const descriptor = toDescriptor(entry);
  expect(descriptor.length).toBe(24);
  expect([descriptor.readBigUInt64LE(8), descriptor.readBigUInt64LE(16)]).toEqual([BigInt(4.5 * GIB), BigInt(5 * GIB)]);
  expect(toDescriptor(toEntry('small', 5, 0, { streamed: true })).length).toBe(16);
});

it('names that would be places on a disk are none, and each name is there once', () => {
  const paths = ['C:x', 'C_x', 'C_2_x', 'c:x', 'C:2_x', 'd:/b', 'a/C:x', 'C:'];
  const names = toZipNames(paths).map(String);
  expect(names).toEqual(['C_3_x', 'C_x', 'C_2_x', 'c_x', 'C_2_2_x', 'd_/b', 'a/C:x', 'C_']);
  expect(new Set(names).size).toBe(paths.length);
});
