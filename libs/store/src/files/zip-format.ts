import type { ArtifactFile } from './artifact-manifest.js';

/** The records of a zip file, as APPNOTE 6.3 has them: local header, data, descriptor for each file, then a directory of all. */
export interface ZipEntry {
  name: Buffer;
  mode: number;
  /** Unix seconds. */
  changed_at: number;
  method: 'deflated' | 'stored';
  crc: number;
  packed_bytes: number;
  bytes: number;
  /** Where its local header begins. */
  offset: number;
  /** Sizes and sum stand behind the data: they were not known before it. */
  streamed: boolean;
}

const FULL = 0xffff_ffff;
const FULL_COUNT = 0xffff;
const LAST_SECOND = 0x7fff_ffff;
/** What does not deflate grows a little. */
const MOST_NARROW = 0xf000_0000;
const UTF8 = 0x0800;
const DESCRIPTOR = 0x0008;
const PLAIN = 20;
const WIDE = 45;
const MADE_ON_UNIX = 3;
const REGULAR_FILE = 0o100_000;
const METHODS = { stored: 0, deflated: 8 };

/** Sizes as numbers, by how many bytes each takes. */
const toRecord = (fields: [number, 2 | 4 | 8][]): Buffer => {
  const record = Buffer.alloc(fields.reduce((sum, [, bytes]) => sum + bytes, 0));
  let at = 0;
  for (const [value, bytes] of fields) {
    if (bytes === 8) record.writeBigUInt64LE(BigInt(value), at);
    else record.writeUIntLE(value, at, bytes);
    at += bytes;
  }
  return record;
};

const DRIVE = /^([A-Za-z]):/;

/**
 * The names of files, in their order and each once. `C:x` is a file like any other here, and a place on a disk to some who unpack it, so it
 * becomes `C_x`, or, where there is a `C_x` too, `C_2_x`.
 */
export const toZipNames = (paths: string[]): Buffer[] => {
  const taken = new Set(paths);
  return paths.map((path) => {
    let name = path.replace(DRIVE, '$1_');
    if (name === path) return Buffer.from(path);
    for (let number = 2; taken.has(name); number += 1) name = path.replace(DRIVE, `$1_${number}_`);
    taken.add(name);
    return Buffer.from(name);
  });
};

const isWide = ({ bytes }: Pick<ArtifactFile, 'bytes'>): boolean => bytes > MOST_NARROW;

const toSecond = (changed_at: number): number => Math.min(Math.max(changed_at, 0), LAST_SECOND);

/** In UTC and steps of two seconds, from 1980 on; the extra field has it exactly. */
const toDosTime = (changed_at: number): [number, 2][] => {
  const date = new Date(Math.max(toSecond(changed_at), 315_532_800) * 1000);
  const time = (date.getUTCHours() << 11) | (date.getUTCMinutes() << 5) | (date.getUTCSeconds() >> 1);
  const day = ((date.getUTCFullYear() - 1980) << 9) | ((date.getUTCMonth() + 1) << 5) | date.getUTCDate();
  return [
    [time, 2],
    [day, 2],
  ];
};

const toTimeField = (changed_at: number): Buffer =>
  Buffer.concat([
    toRecord([
      [0x5455, 2],
      [5, 2],
    ]),
    Buffer.from([1]),
    toRecord([[toSecond(changed_at), 4]]),
  ]);

const toWideField = (values: number[]): Buffer =>
  values.length === 0
    ? Buffer.alloc(0)
    : toRecord([[0x0001, 2], [values.length * 8, 2], ...values.map((value): [number, 8] => [value, 8])]);

const toFlags = ({ streamed }: ZipEntry): number => UTF8 | (streamed ? DESCRIPTOR : 0);

export const toLocalHeader = (entry: ZipEntry): Buffer => {
  const wide = isWide(entry);
  const { crc, packed_bytes, bytes } = entry.streamed ? { crc: 0, packed_bytes: 0, bytes: 0 } : entry;
  const extra = Buffer.concat([toTimeField(entry.changed_at), toWideField(wide ? [bytes, packed_bytes] : [])]);
  const head = toRecord([
    [0x0403_4b50, 4],
    [wide ? WIDE : PLAIN, 2],
    [toFlags(entry), 2],
    [METHODS[entry.method], 2],
    ...toDosTime(entry.changed_at),
    [crc, 4],
    [wide ? FULL : packed_bytes, 4],
    [wide ? FULL : bytes, 4],
    [entry.name.length, 2],
    [extra.length, 2],
  ]);
  return Buffer.concat([head, entry.name, extra]);
};

export const toDescriptor = (entry: ZipEntry): Buffer => {
  const size = isWide(entry) ? 8 : 4;
  return toRecord([
    [0x0807_4b50, 4],
    [entry.crc, 4],
    [entry.packed_bytes, size],
    [entry.bytes, size],
  ]);
};

export const toDirectoryRecord = (entry: ZipEntry): Buffer => {
  const { bytes, packed_bytes, offset } = entry;
  const wide = isWide(entry);
  const far = offset >= FULL;
  const wideValues = [...(wide ? [bytes, packed_bytes] : []), ...(far ? [offset] : [])];
  const extra = Buffer.concat([toTimeField(entry.changed_at), toWideField(wideValues)]);
  const head = toRecord([
    [0x0201_4b50, 4],
    [(MADE_ON_UNIX << 8) | WIDE, 2],
    [wide || far ? WIDE : PLAIN, 2],
    [toFlags(entry), 2],
    [METHODS[entry.method], 2],
    ...toDosTime(entry.changed_at),
    [entry.crc, 4],
    [wide ? FULL : packed_bytes, 4],
    [wide ? FULL : bytes, 4],
    [entry.name.length, 2],
    [extra.length, 2],
    [0, 2],
    [0, 2],
    [0, 2],
    [(REGULAR_FILE | entry.mode) * 0x1_0000, 4],
    [far ? FULL : offset, 4],
  ]);
  return Buffer.concat([head, entry.name, extra]);
};

/** Where the directory begins and how long it is. */
export const toEnd = (count: number, offset: number, bytes: number): Buffer => {
  const wide = toRecord([
    [0x0606_4b50, 4],
    [44, 8],
    [(MADE_ON_UNIX << 8) | WIDE, 2],
    [WIDE, 2],
    [0, 4],
    [0, 4],
    [count, 8],
    [count, 8],
    [bytes, 8],
    [offset, 8],
    [0x0706_4b50, 4],
    [0, 4],
    [offset + bytes, 8],
    [1, 4],
  ]);
  const end = toRecord([
    [0x0605_4b50, 4],
    [0, 2],
    [0, 2],
    [Math.min(count, FULL_COUNT), 2],
    [Math.min(count, FULL_COUNT), 2],
    [Math.min(bytes, FULL), 4],
    [Math.min(offset, FULL), 4],
    [0, 2],
  ]);
  return count >= FULL_COUNT || bytes >= FULL || offset >= FULL ? Buffer.concat([wide, end]) : end;
};
