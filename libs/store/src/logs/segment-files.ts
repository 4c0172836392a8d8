import { FileMissing, type FileStore, FilesUnavailable } from '../files/file-store.js';
import { readWhole } from '../files/read-whole.js';
import type { StoredPiece } from './log-piece.js';
import type { LogSegment } from './log-segment.js';
import { createReadCache } from './read-cache.js';
import { packSegment, SegmentDamaged, unpackSegment } from './segment-format.js';

/** What is kept of segments that were read, by their raw bytes: readers go on a few pieces at a time, and many read the same. */
const KEPT_BYTES = 32 * 1024 * 1024;
/** What a piece takes beside its bytes. */
const PIECE_BYTES = 200;

/** The pieces of a segment; of one that is gone, or is none, a note that says so. */
interface Unpacked {
  pieces: StoredPiece[];
  found: boolean;
}

const toStandIn = ({ last, attempt, last_at, bytes }: LogSegment, what: string): Unpacked => {
  const text = `\n[berth] ${bytes.stdout + bytes.stderr} bytes of output stood here; this part of the log ${what}.\n`;
  return { pieces: [{ id: last, code: 'n', attempt, at: last_at, bytes: Buffer.from(text) }], found: false };
};

const load = async (files: FileStore, segment: LogSegment): Promise<Unpacked> => {
  try {
    return { pieces: await unpackSegment(await readWhole(files, segment.object)), found: true };
  } catch (error) {
    if (error instanceof FileMissing) return toStandIn(segment, 'has been removed');
    if (error instanceof SegmentDamaged) return toStandIn(segment, 'is damaged');
    throw error;
  }
};

const toOpen = (files: FileStore | undefined): FileStore => {
  if (!files) throw new FilesUnavailable('There is no file store here');
  return files;
};

async function* oneChunk(bytes: Buffer): AsyncGenerator<Uint8Array> {
  yield bytes;
}

/** Segments in the file store. Without one, writing and reading are as where it is away. */
export const createSegmentFiles = (files: FileStore | undefined) => {
  const once = createReadCache<Unpacked>({
    most: KEPT_BYTES,
    toSize: ({ pieces }) => pieces.reduce((sum, { bytes }) => sum + bytes.length + PIECE_BYTES, 0),
    isLasting: ({ found }) => found,
  });
  return {
    /** Throws FilesUnavailable. */
    async read(segment: LogSegment): Promise<StoredPiece[]> {
      return (await once(segment.object, async () => load(toOpen(files), segment))).pieces;
    },
    /** Durable when it returns. Twice is once: the same pieces make the same object. Throws FilesUnavailable. */
    async write(object: string, packed: Buffer): Promise<void> {
      await toOpen(files).put(object, oneChunk(packed));
    },
    pack: packSegment,
  };
};

export type SegmentFiles = ReturnType<typeof createSegmentFiles>;
