import { Readable } from 'node:stream';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { createGunzip } from 'node:zlib';
import { type FileStore, readWhole } from '@berth/store';
import { InputProblem, toShown } from './input-problem.js';
import type { Layout } from './layout.js';
import { type FoundInput, orGone, readInput } from './read-input.js';
import { BadArchive, readTar } from './read-tar.js';
import { readZip } from './read-zip.js';
import { toPadding } from './tar-header.js';

/** One file or folder of an archive. */
export interface Member {
  /** As it stands in the archive. */
  name: string;
  kind: 'file' | 'folder' | 'other';
  /** Of a file. */
  bytes: number;
  executable: boolean;
  body: AsyncIterable<Buffer>;
}

const HEAD_BYTES = 512;
const MAX_RATIO = 250;
/** Below this nobody asks how well it was packed. */
const RATIO_FROM_BYTES = 100 * 1024 * 1024;
/** All that comes out of one: more than what may be laid, for its headers. */
const MOST_INFLATED_BYTES = 11 * 1024 ** 3;
const INFLATED_CHUNK_BYTES = 64 * 1024;
/** The members of an archive may be tiny, and all in memory: everything else has its turn after so many. */
const MEMBERS_A_TURN = 256;

/** The most that an archive of so many bytes unpacks to. */
export const toMostUnpacked = (bytes: number): number => Math.max(RATIO_FROM_BYTES, MAX_RATIO * bytes);

const requireSane = ({ input: { path }, upload }: FoundInput, unpacked: number): void => {
  if (unpacked > toMostUnpacked(upload.bytes)) {
    throw new InputProblem(path, `unpacks to more than ${MAX_RATIO} times its size`);
  }
  if (unpacked > MOST_INFLATED_BYTES) throw new InputProblem(path, `unpacks to more than ${MOST_INFLATED_BYTES} bytes`);
};

/** Of a zip's first entry, and of one without any. */
const ZIP_HEADS = ['504b0304', '504b0506'];

type Format = 'tar' | 'tar.gz' | 'zip';

const toFormat = (head: Buffer): Format | undefined => {
  if (head[0] === 0x1f && head[1] === 0x8b) return 'tar.gz';
  if (ZIP_HEADS.includes(head.toString('hex', 0, 4))) return 'zip';
  return head.toString('latin1', 257, 262) === 'ustar' ? 'tar' : undefined;
};

const readHead = (files: Pick<FileStore, 'read'>, { input, upload }: FoundInput): Promise<Buffer> =>
  orGone(input, readWhole(files, upload.object, { start: 0, end: Math.min(HEAD_BYTES, upload.bytes) }));

/** All that comes out counts, also what belongs to no member. */
const gunzip = async function* (found: FoundInput, source: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  let fault: unknown;
  let bytes = 0;
  const packed = Readable.from(source, { objectMode: false });
  const plain = createGunzip({ chunkSize: INFLATED_CHUNK_BYTES });
  packed.on('error', (error) => {
    fault = error;
    plain.destroy(error);
  });
  packed.pipe(plain);
  try {
    for await (const chunk of plain) {
      bytes += chunk.length;
      requireSane(found, bytes);
      yield chunk as Buffer;
    }
  } catch (error) {
    if (error instanceof InputProblem) throw error;
    throw fault ?? new BadArchive(error instanceof Error ? error.message : String(error));
  } finally {
    packed.destroy();
    plain.destroy();
  }
};

const FOLDERS: ReadonlySet<unknown> = new Set(['directory']);
const FILES: ReadonlySet<unknown> = new Set(['file', 'contiguous-file', null, undefined]);

const toMembers = async function* (tar: AsyncIterable<Buffer>): AsyncGenerator<Member> {
  for await (const { header, body } of readTar(tar)) {
    const { name, type, size = 0, mode = 0 } = header;
    const kind = FOLDERS.has(type) ? 'folder' : FILES.has(type) ? 'file' : 'other';
    yield { name, kind, bytes: size, executable: (mode & 0o100) !== 0, body };
  }
};

/**
 * Of a tar no more is unpacked than up to its end. What is left of the upload is read all the same: only then is it known to be what was
 * uploaded.
 */
const readTarMembers = async function* (
  files: Pick<FileStore, 'read'>,
  found: FoundInput,
  open: (source: AsyncIterable<Buffer>) => AsyncIterable<Buffer>,
): AsyncGenerator<Member> {
  const whole = readInput(files, found);
  const source = { [Symbol.asyncIterator]: () => ({ next: () => whole.next() }) };
  try {
    yield* toMembers(open(source));
    for await (const _ of whole);
  } finally {
    whole.return(undefined).catch(() => undefined);
  }
};

const readMembers = async (files: Pick<FileStore, 'read'>, found: FoundInput): Promise<AsyncIterable<Member>> => {
  const format = toFormat(await readHead(files, found));
  if (format === 'zip') return readZip(files, found);
  if (format === 'tar') return readTarMembers(files, found, (source) => source);
  if (format === 'tar.gz') return readTarMembers(files, found, (source) => gunzip(found, source));
  throw new InputProblem(found.input.path, 'is to be unpacked, and is no tar, tar.gz or zip');
};

const layMember = async function* (
  path: string,
  folder: string,
  member: Member,
  layout: Layout,
): AsyncGenerator<Buffer> {
  const name = member.name.replace(/^(\.\/)+/, '').replace(/\/+$/, '');
  if (name === '' || name === '.') return;
  if (member.kind === 'other') {
    throw new InputProblem(
      path,
      `holds ${toShown(name)}, which is neither a file nor a folder: links and devices are not unpacked`,
    );
  }
  // What is absolute must not become something below the folder by being put behind it.
  if (name.startsWith('/')) throw new InputProblem(path, `holds ${toShown(name)}, which is no path below /workspace`);
  const at = `${folder}/${name}`;
  if (member.kind === 'folder') {
    yield* layout.folder(path, at);
    return;
  }
  yield* layout.file(path, at, member);
  let bytes = 0;
  for await (const chunk of member.body) {
    bytes += chunk.length;
    if (bytes > member.bytes) break;
    yield chunk;
  }
  if (bytes !== member.bytes) throw new InputProblem(path, `holds ${toShown(name)}, whose size is not what it says`);
  yield toPadding(bytes);
};

/**
 * Unpacks an archive entry by entry into a tar of ours, so that nothing but plain files and folders with checked names gets to the engine, and
 * nothing is ever unpacked on this machine. Throws InputProblem where there is anything else in it.
 */
export const unpack = async function* (
  files: Pick<FileStore, 'read'>,
  found: FoundInput,
  layout: Layout,
): AsyncGenerator<Buffer> {
  const { path } = found.input;
  let bytes = 0;
  let members = 0;
  try {
    yield* layout.folder(path, path);
    for await (const member of await readMembers(files, found)) {
      bytes += member.kind === 'file' ? member.bytes : 0;
      requireSane(found, bytes);
      members += 1;
      if (members % MEMBERS_A_TURN === 0) await nextTurn();
      yield* layMember(path, path, member, layout);
    }
  } catch (error) {
    if (!(error instanceof BadArchive)) throw error;
    throw new InputProblem(path, `cannot be unpacked: ${toShown(error.message)}`, { cause: error });
  }
};
