import type { Redis } from 'ioredis';
import type { FileStore } from './files/file-store.js';
import type { Keys } from './keys.js';
import { createLogPages } from './logs/log-pages.js';
import { ANEW, type LogEntry, type LogNote, type LogPiece, toCode, toEntry } from './logs/log-piece.js';
import { readPosition, type StoredPosition } from './logs/log-position.js';
import { createSealer, type LogSealer, type Sealed } from './logs/log-sealer.js';
import { type LogSegment, parseSegment } from './logs/log-segment.js';
import { type LogTail, readTails } from './logs/log-tails.js';
import { createSegmentFiles } from './logs/segment-files.js';
import type { Scripts } from './scripts.js';

export {
  compareIds,
  isLogEntryId,
  type LogEntry,
  type LogNote,
  type LogPiece,
  type LogStream,
  toBrokerBytes,
} from './logs/log-piece.js';
export type { StoredPosition } from './logs/log-position.js';
export type { Sealed } from './logs/log-sealer.js';
export { countLines, type LogSegment } from './logs/log-segment.js';
export type { LogTail } from './logs/log-tails.js';
export { createReadCache } from './logs/read-cache.js';

/** What is added at once. */
export interface LogBatch {
  /** The number of the first piece among those of the epoch, from 1. */
  first: number;
  pieces: (LogPiece | LogNote)[];
  /** Whole lines, oldest first, for clients that read `job_logs:{id}` themselves. */
  lines?: string[];
}

/** Whose pieces are taken. */
export interface LogOwner {
  job_id: string;
  epoch: number;
  owner: string;
}

const ANEW_TEXT = '\n[berth] The platform started the job again; what follows is its output from the beginning.\n';
const PAGE_BYTES = 1024 * 1024;

export interface BackwardsOptions {
  /** Only what comes before this piece. */
  before?: string;
  /** Where it says so a segment is passed over without being read. */
  skips?: (segment: LogSegment) => boolean;
}

/**
 * What jobs wrote, as one row of pieces a job: its beginning in segments in the file store, its end in a stream. A piece's id is its epoch and
 * its number in it, and only the present owner of an epoch may add to it: an epoch's output is one true text, however many workers wrote
 * it. A piece is announced on the job's channel in the step that stores it, so a follower that reads, subscribes and reads again misses
 * nothing. Where a segment has to be read and its store cannot be reached, that is a FilesUnavailable; one that was removed reads as a note.
 */
export const createLogStore = (redis: Redis, keys: Keys, scripts: Scripts, files?: FileStore) => {
  const segments = createSegmentFiles(files);
  const listSegments = async (job_id: string): Promise<LogSegment[]> =>
    (await redis.lrange(keys.segments(job_id), 0, -1)).map(parseSegment);
  const pages = createLogPages({ scripts, segments, listSegments });
  const seal = createSealer(redis, keys, { scripts, segments });
  return {
    /**
     * Sent before it returns its promise: what is sent after it on this connection comes after it. `stale`: the epoch is somebody
     * else's, or over, and nothing was stored. What was stored already is left out, so a batch may be sent twice.
     * Notes by themselves are taken even by a broker that is full.
     */
    async append(claim: LogOwner, { first, pieces, lines = [] }: LogBatch): Promise<'stored' | 'stale'> {
      const triples = pieces.flatMap((piece) => [toCode(piece), piece.attempt, piece.bytes]);
      const { job_id, epoch, owner } = claim;
      const script = pieces.every(({ stream }) => stream === 'note') && lines.length === 0 ? 'append_note' : 'append';
      const sent = scripts.runInOrder(script, job_id, epoch, owner, first, pieces.length, ...triples, ...lines);
      return (await sent) as 'stored' | 'stale';
    },

    /** Called before an epoch writes anything: where an earlier one has written of the same attempt, a note says so. */
    async beginAnew(claim: LogOwner & { attempt: number }): Promise<'stored' | 'stale'> {
      const { job_id, epoch, owner, attempt } = claim;
      return (await scripts.run('begin-anew', job_id, epoch, owner, attempt, ANEW, ANEW_TEXT)) as 'stored' | 'stale';
    },

    /**
     * Moves the beginning of the stream, a few megabytes at most, into a segment. While the job runs for its owner only; afterwards for
     * anybody. Throws FilesUnavailable, and nothing has changed then.
     */
    seal: (job_id: string, by?: LogSealer): Promise<Sealed> => seal(job_id, by),

    /** Jobs that ended so long ago, and whose last output is still to be sealed. Each is named to one caller in that time. */
    async findUnsealed(ended_for_ms: number, limit: number): Promise<string[]> {
      return (await scripts.run('unsealed', ended_for_ms, limit)) as string[];
    },

    /** Oldest first. Their objects are all that a job's log has in the file store. */
    listSegments,

    /** Where another worker goes on with the output of a running epoch. */
    readPosition: (job_id: string, epoch: number): Promise<StoredPosition> => readPosition(pages, job_id, epoch),

    /** Pieces after the given id, oldest first, of so many bytes and at least one; empty at the present end. */
    async readAfter(job_id: string, after = '-', max_bytes = PAGE_BYTES): Promise<LogEntry[]> {
      return (await pages.readAfter(job_id, after === '-' ? '' : after, max_bytes)).map(toEntry);
    },

    /** The id of the last piece that there is now, `-` where there is none. */
    async readEnd(job_id: string): Promise<string> {
      return (await pages.readEnd(job_id)) ?? '-';
    },

    /** Pieces newest first. */
    async *readBackwards(job_id: string, options: BackwardsOptions = {}): AsyncGenerator<LogEntry> {
      for await (const piece of pages.readBackwards(job_id, options)) yield toEntry(piece);
    },

    /** The last bytes of both streams of one attempt, as its last epoch wrote them. */
    readTails: (job_id: string, attempt: number, max_bytes: number): Promise<Record<'stdout' | 'stderr', LogTail>> =>
      readTails(pages, job_id, { attempt, max_bytes }),
  };
};

export type LogStore = ReturnType<typeof createLogStore>;
