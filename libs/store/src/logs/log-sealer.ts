import type { Redis } from 'ioredis';
import type { Keys } from '../keys.js';
import type { Scripts } from '../scripts.js';
import { type RawEntry, type StoredPiece, toBrokerBytes, toPiece, toPlace } from './log-piece.js';
import { toSegment } from './log-segment.js';
import type { SegmentFiles } from './segment-files.js';

/** A segment ends where its pieces have grown to this, as `toBrokerBytes` counts them. */
const SEGMENT_BYTES = 2 * 1024 * 1024;
const PAGE = 32;

export interface LogSealer {
  epoch: number;
  owner: string;
}

/** `sealed`: so many bytes, as `toBrokerBytes` counts them, have left the stream. `empty`: nothing stands there. `stale`: somebody else's, or another was quicker. */
export type Sealed = { kind: 'sealed'; bytes: number } | { kind: 'empty' } | { kind: 'stale' };

/** The pieces at the stream's beginning that make the next segment: of one epoch. */
const readHead = async (redis: Redis, key: string): Promise<StoredPiece[]> => {
  const head: StoredPiece[] = [];
  let size = 0;
  for (let from = '-'; ; ) {
    const page = (await redis.xrangeBuffer(key, from, '+', 'COUNT', PAGE)) as unknown as RawEntry[];
    for (const piece of page.map(toPiece)) {
      const epoch = head[0] && toPlace(head[0].id)[0];
      if (size >= SEGMENT_BYTES || (epoch !== undefined && epoch !== toPlace(piece.id)[0])) return head;
      head.push(piece);
      size += toBrokerBytes(piece);
    }
    const last = head.at(-1);
    if (page.length < PAGE || !last) return head;
    from = `(${last.id}`;
  }
};

/**
 * Moves the beginning of a job's stream into a segment: first the object, durable, then the index and the stream in one step. Whoever dies in
 * between leaves an object that no index knows, and the next one begins again. No owner: the job does not run.
 */
export const createSealer =
  (redis: Redis, keys: Keys, parts: { scripts: Scripts; segments: SegmentFiles }) =>
  async (job_id: string, by?: LogSealer): Promise<Sealed> => {
    const { scripts, segments } = parts;
    const pieces = await readHead(redis, keys.log(job_id));
    const [first, last] = [pieces[0], pieces.at(-1)];
    if (!first || !last) return { kind: 'empty' };
    const packed = await segments.pack(pieces);
    const segment = toSegment(job_id, pieces, packed.length);
    await segments.write(segment.object, packed);
    const entry = JSON.stringify(segment);
    const reply = await scripts.run('seal', job_id, by?.epoch ?? 0, by?.owner ?? '', first.id, last.id, entry);
    if (reply !== 'sealed') return { kind: 'stale' };
    return { kind: 'sealed', bytes: pieces.reduce((sum, piece) => sum + toBrokerBytes(piece), 0) };
  };
