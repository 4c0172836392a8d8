const BLOCK = 512;
const LONGEST_NAME = 100;
const LARGEST_OCTAL = 0o77777777777;

export interface TarEntry {
  /** With a slash at its end it is a folder. */
  name: string;
  /** 0 for a folder. */
  bytes: number;
  mode: number;
  /** User and group. */
  owner: number;
}

/** What stands behind an entry of so many bytes, up to the next block. */
export const toPadding = (bytes: number): Buffer => Buffer.alloc((BLOCK - (bytes % BLOCK)) % BLOCK);

export const TAR_END = Buffer.alloc(2 * BLOCK);

const octal = (value: number, width: number): string => `${value.toString(8).padStart(width - 1, '0')}\0`;

const toBlock = (type: '0' | '5' | 'x', { name, bytes, mode, owner }: TarEntry): Buffer => {
  const block = Buffer.alloc(BLOCK);
  const put = (text: string, at: number) => block.write(text, at, 'latin1');
  block.write(name.slice(0, LONGEST_NAME), 0, 'latin1');
  put(octal(mode, 8), 100);
  put(octal(owner, 8), 108);
  put(octal(owner, 8), 116);
  put(octal(Math.min(bytes, LARGEST_OCTAL), 12), 124);
  put(octal(0, 12), 136);
  put(' '.repeat(8), 148);
  put(type, 156);
  put('ustar\0' + '00', 257);
  put(
    `${octal(
      block.reduce((sum, byte) => sum + byte, 0),
      7,
    )} `,
    148,
  );
  return block;
};

/** `<length of the whole line> <key>=<value>\n`, the length counted with its own digits. */
const toRecord = (key: string, value: string): Buffer => {
  const rest = Buffer.byteLength(` ${key}=${value}\n`);
  const guess = rest + String(rest).length;
  return Buffer.from(`${rest + String(guess).length} ${key}=${value}\n`);
};

const isPlain = ({ name, bytes }: TarEntry): boolean =>
  /^[\x20-\x7e]*$/.test(name) && name.length < LONGEST_NAME && bytes <= LARGEST_OCTAL;

/** The header of one entry; where its name is long or no ASCII, or it is very large, with the extended one (POSIX.1-2001) before it. */
export const toTarHeader = (entry: TarEntry): Buffer => {
  const type = entry.name.endsWith('/') ? '5' : '0';
  if (isPlain(entry)) return toBlock(type, entry);
  const records = Buffer.concat([toRecord('path', entry.name), toRecord('size', String(entry.bytes))]);
  const extended = toBlock('x', { name: 'extended', bytes: records.length, mode: 0o644, owner: 0 });
  const fallback = { ...entry, name: entry.name.endsWith('/') ? 'long/' : 'long' };
  return Buffer.concat([extended, records, toPadding(records.length), toBlock(type, fallback)]);
};
