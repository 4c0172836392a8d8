import { setImmediate } from 'node:timers/promises';
import { isRelativePath, WORKSPACE } from '@berth/domain';
import type { ArtifactFile } from '@berth/store';
import type { Header } from 'tar-stream';
import { RuntimeFault } from '../runtime/container-runtime.js';
import { keepFile, type Written } from './keep-file.js';
import { createOutputNotes } from './output-notes.js';
import { createOutputPatterns, PatternsTooCostly } from './output-patterns.js';
import { BadArchive, type ReadEntry, readTar } from './read-tar.js';

/** Of one attempt. */
export interface OutputLimits {
  files: number;
  bytes: number;
}

/** What does not match has to be read all the same: so many times the bytes that may be kept, and so many times the files. */
const LOOKED_THROUGH = 4;
const LOOKED_AT = 10;
/** The worker's other work does not wait longer than this. */
const AT_A_TIME_MS = 5;

const REFUSED_KINDS: Record<string, string> = {
  symlink: 'a symbolic link',
  link: 'another name of a file (a hard link)',
  fifo: 'a named pipe',
  'character-device': 'a device',
  'block-device': 'a device',
};

export interface Collection {
  files: ArtifactFile[];
  written: Written;
  notes: ReturnType<typeof createOutputNotes>;
  /** A running container's files may change while they are read, which breaks the archive off. */
  may_break_off: boolean;
}

/** Names in an archive begin with the last part of the place that was asked for, or `workspace`. */
const toPath = (place: string, name: string): string => {
  const below = name.replace(/\/+$/, '').split('/').slice(1);
  return [...(place === '' ? [] : [place]), ...below].join('/');
};

interface Left {
  /** Bytes and entries that may still be looked at. */
  bytes: number;
  entries: number;
}

/**
 * What a container left, as the engine gives it, into one stream of the files' bytes one behind the other; `collection` says afterwards what stands where.
 * Nothing in the archives is believed: only regular files with plain names are kept, up to the limits, and everything else is refused one by one
 * and named in a note. It ends whatever comes: what is too large to pass over ends the look.
 */
export const packOutputs = async function* (
  patterns: readonly string[],
  open: (place: string) => AsyncIterable<Buffer>,
  collection: Collection,
  limits: OutputLimits,
): AsyncGenerator<Buffer> {
  const { matches, places } = createOutputPatterns(patterns);
  const looking: Looking = {
    matches,
    breathe: createBreath(),
    left: { bytes: limits.bytes * LOOKED_THROUGH, entries: limits.files * LOOKED_AT },
    kept: { collection, limits, seen: new Set() },
  };
  for (const place of places) {
    try {
      yield* packPlace(place, open(place), looking);
    } catch (error) {
      if (error instanceof PatternsTooCostly) {
        collection.notes.say('it took too long to match names with the patterns, and what came then was not looked at');
        return;
      }
      noteFault(place, error, collection);
    }
  }
};

/** Throws what is of more than this place. */
const noteFault = (place: string, error: unknown, { may_break_off, notes }: Collection): void => {
  if (error instanceof RuntimeFault && error.code === 'path_refused') {
    notes.refuse(
      place === '' ? WORKSPACE : place,
      'the container engine cannot read it: links lead round in circles, or it is below a file',
    );
  } else if (error instanceof BadArchive && may_break_off) {
    notes.say('something was changed while it was read, and what came behind it is not here');
  } else {
    throw error;
  }
};

/** Lets others go on where this has gone on for long: the entries of a chunk come without a pause. */
const createBreath = () => {
  let last = performance.now();
  return async (): Promise<void> => {
    if (performance.now() - last < AT_A_TIME_MS) return;
    await setImmediate();
    last = performance.now();
  };
};

interface Looking {
  matches: (path: string) => boolean;
  breathe: () => Promise<void>;
  left: Left;
  kept: Kept;
}

const packPlace = async function* (place: string, archive: AsyncIterable<Buffer>, looking: Looking) {
  const { matches, breathe, left, kept } = looking;
  const { collection } = kept;
  for await (const entry of readPlace(archive)) {
    await breathe();
    if (!take(entry.header, left, collection)) return;
    const path = toPath(place, entry.header.name);
    if (!isWanted(path, entry.header, matches)) continue;
    const why = findRefusal(path, entry.header, kept);
    if (why === undefined) {
      kept.seen.add(path);
      yield* keep(path, entry, collection);
    } else {
      collection.notes.refuse(path === '' ? WORKSPACE : path, why);
    }
  }
};

/** Nothing stands there where not a byte comes. */
const readPlace = async function* (archive: AsyncIterable<Buffer>): AsyncGenerator<ReadEntry> {
  const chunks = archive[Symbol.asyncIterator]();
  const first = await chunks.next();
  if (first.done) return;
  const whole = async function* () {
    yield first.value;
    yield* { [Symbol.asyncIterator]: () => chunks };
  };
  yield* readTar(whole(), { requires_end: true });
};

const take = ({ name, size = 0 }: Header, left: Left, { notes }: Collection): boolean => {
  left.bytes -= size;
  left.entries -= 1;
  if (left.bytes >= 0 && left.entries >= 0) return true;
  notes.refuse(name, left.bytes < 0 ? 'too large even to be passed over' : 'there are too many files to look at');
  notes.say('what came behind it was not looked at');
  return false;
};

/** `''`: something else stands in the place of the folder that was asked for. */
const isWanted = (path: string, { type }: Header, matches: (path: string) => boolean): boolean =>
  type !== 'directory' && (path === '' || matches(path));

interface Kept {
  collection: Collection;
  limits: OutputLimits;
  seen: Set<string>;
}

const findRefusal = (path: string, { type, size = 0 }: Header, { collection, limits, seen }: Kept) => {
  const kind = type ?? 'file';
  if (kind !== 'file' && kind !== 'contiguous-file') return `${REFUSED_KINDS[kind] ?? 'no file'}, not kept`;
  if (path.includes('\ufffd')) return 'its name is no text';
  if (!isRelativePath(path)) return 'its name has control characters, or is too long or too deep';
  if (seen.has(path)) return 'there are two of it';
  if (collection.files.length >= limits.files) return `more than ${limits.files} files`;
  if (toTotal(collection.written) + size > limits.bytes)
    return `${size} bytes; with it there would be more than ${limits.bytes}`;
  return undefined;
};

const keep = async function* (path: string, { header, body }: ReadEntry, { files, written, notes }: Collection) {
  const offset = toTotal(written);
  const sha256 = yield* keepFile(body, written);
  if (sha256 === undefined) {
    notes.refuse(path, 'too much of it is zeros, as in a sparse file');
    return;
  }
  const bytes = toTotal(written) - offset;
  const changed_at = Math.max(0, Math.floor((header.mtime?.getTime() || 0) / 1000));
  files.push({ path, bytes, sha256, offset, mode: (header.mode ?? 0) & 0o777, changed_at });
};

/** How long the pack is. */
const toTotal = ({ zeros, others }: Written): number => zeros + others;

export const createCollection = (may_break_off: boolean): Collection => ({
  files: [],
  written: { zeros: 0, others: 0 },
  notes: createOutputNotes(),
  may_break_off,
});
