import type { Redis } from 'ioredis';
import type { Keys } from './keys.js';

/** `note` is ours: it says where output was cut. */
export type LogStream = 'stdout' | 'stderr' | 'note';

export interface LogPiece {
  stream: LogStream;
  attempt: number;
  bytes: Buffer;
}

/** Where pieces stand among all of a job's: the epoch that writes them, and the number of the first one, from 1. */
export interface PiecePlace {
  epoch: number;
  first: number;
}

/** A stored piece. Ids grow with time and are what a reader resumes after. */
export interface LogEntry extends LogPiece {
  id: string;
  /** A note between two epochs of one attempt: what stands before it came from a container that was given up. */
  anew?: true;
}

export interface LogTail {
  bytes: Buffer;
  /** Whether the output began earlier than these bytes, or was cut. */
  truncated: boolean;
}

const CODES: Record<LogStream, string> = { stdout: 'o', stderr: 'e', note: 'n' };
const ANEW = 'a';
const STREAMS: Record<string, LogStream> = { o: 'stdout', e: 'stderr', n: 'note', [ANEW]: 'note' };
const ANEW_TEXT = '\n[berth] The platform started the job again; what follows is its output from the beginning.\n';
const PAGE = 64;

/** Clients of the workload runner's format keep so many lines, for so long. */
const WORKLOAD_LINES = 1_000;
const WORKLOAD_SECONDS = 86_400;

type RawEntry = [Buffer, Buffer[]];

const toEntry = ([id, fields]: RawEntry): LogEntry => ({
  id: id.toString(),
  stream: STREAMS[fields[1]?.toString() ?? ''] ?? 'note',
  attempt: Number(fields[3]?.toString()),
  bytes: fields[5] ?? Buffer.alloc(0),
  ...(fields[1]?.toString() === ANEW ? { anew: true } : {}),
});

const ENTRY_ID = /^\d{1,15}-\d{1,10}$/;
/** Whether a client's Last-Event-ID can be one of ours. */
export const isLogEntryId = (text: string): boolean => ENTRY_ID.test(text);

interface LastEntries {
  /** Oldest first. */
  entries: LogEntry[];
  /** Whether there were earlier ones. */
  more: boolean;
}

/** Pages backwards from the end until the wanted entries hold `max_bytes`. */
const readLast = async (redis: Redis, key: string, want: Wanted): Promise<LastEntries> => {
  const entries: LogEntry[] = [];
  let size = 0;
  for await (const entry of readBackwards(redis, key)) {
    if (!want.accepts(entry)) continue;
    if (entry.anew) break;
    if (size >= want.max_bytes) return { entries: entries.reverse(), more: true };
    entries.push(entry);
    size += entry.bytes.length;
  }
  return { entries: entries.reverse(), more: false };
};

interface Wanted {
  max_bytes: number;
  accepts: (entry: LogEntry) => boolean;
}

async function* readBackwards(redis: Redis, key: string, from = '+'): AsyncGenerator<LogEntry> {
  for (let before = from; ; ) {
    const raw = (await redis.xrevrangeBuffer(key, before, '-', 'COUNT', PAGE)) as unknown as RawEntry[];
    yield* raw.map(toEntry);
    const last = raw.at(-1)?.[0];
    if (raw.length < PAGE || last === undefined) return;
    before = `(${last.toString()}`;
  }
}

/** Redis has no code of its own for this refusal. */
const isOutOfOrder = (error: Error): boolean =>
  error.message.includes('equal or smaller than the target stream top item');

/**
 * What jobs wrote, as one stream of pieces a job. A piece is announced on the job's channel after it is stored, so a follower that reads,
 * subscribes and reads again misses nothing.
 */
export const createLogStore = (redis: Redis, keys: Keys) => ({
  /**
   * With a place, a piece that was stored already, or is older than what another epoch has written since, is left out. A job's
   * pieces have a place or none has.
   */
  async append(job_id: string, pieces: LogPiece[], place?: PiecePlace): Promise<void> {
    const pipeline = redis.pipeline();
    for (const [i, { stream, attempt, bytes }] of pieces.entries()) {
      const id = place ? `${place.epoch}-${place.first + i}` : '*';
      pipeline.xadd(keys.log(job_id), id, 's', CODES[stream], 'a', attempt, 'd', bytes);
    }
    pipeline.publish(keys.logChannel(job_id), '');
    const results = (await pipeline.exec()) ?? [];
    const failed = results.find(([error]) => error !== null && !isOutOfOrder(error));
    if (failed?.[0]) throw failed[0];
  },

  /**
   * Called before an epoch writes anything: where an earlier one has written of the same attempt, a note says that all of it
   * comes again. It stands at place 0, so that to say it twice is harmless.
   */
  async beginAnew(job_id: string, { epoch, attempt }: { epoch: number; attempt: number }): Promise<void> {
    const key = keys.log(job_id);
    const { value: last } = await readBackwards(redis, key).next();
    if (last?.attempt !== attempt) return;
    const written = redis.xadd(key, `${epoch}-0`, 's', ANEW, 'a', attempt, 'd', ANEW_TEXT);
    await written.catch((error: Error) => {
      if (!isOutOfOrder(error)) throw error;
    });
    await redis.publish(keys.logChannel(job_id), '');
  },

  /** Whole lines for clients that read `job_logs:{id}` themselves: newest first, as they had it. */
  async appendWorkloadLines(job_id: string, lines: string[]): Promise<void> {
    if (lines.length === 0) return;
    const key = keys.workloadLog(job_id);
    await redis
      .multi()
      .lpush(key, ...lines)
      .ltrim(key, 0, WORKLOAD_LINES - 1)
      .expire(key, WORKLOAD_SECONDS)
      .exec();
  },

  /** Up to a page of pieces after the given id, oldest first; empty at the present end. */
  async readAfter(job_id: string, after = '-'): Promise<LogEntry[]> {
    const from = after === '-' ? '-' : `(${after}`;
    const raw = await redis.xrangeBuffer(keys.log(job_id), from, '+', 'COUNT', PAGE);
    return (raw as unknown as RawEntry[]).map(toEntry);
  },

  /** Pieces newest first, beginning with the one of the given id, or the last one before it. */
  readBackwards: (job_id: string, from = '+'): AsyncGenerator<LogEntry> => readBackwards(redis, keys.log(job_id), from),

  /** The last bytes of both streams of one attempt, as its last epoch wrote them. */
  async readTails(job_id: string, attempt: number, max_bytes: number): Promise<Record<'stdout' | 'stderr', LogTail>> {
    const read = async (stream: LogStream): Promise<LogTail> => {
      const accepts = (entry: LogEntry) => entry.attempt === attempt && [stream, 'note'].includes(entry.stream);
      return toTail(await readLast(redis, keys.log(job_id), { max_bytes, accepts }), max_bytes);
    };
    const [stdout, stderr] = await Promise.all([read('stdout'), read('stderr')]);
    return { stdout, stderr };
  },
});

const toTail = ({ entries, more }: LastEntries, max_bytes: number): LogTail => {
  const all = Buffer.concat(entries.map((entry) => entry.bytes));
  const cut = entries.some((entry) => entry.stream === 'note');
  return { bytes: all.subarray(Math.max(0, all.length - max_bytes)), truncated: more || cut || all.length > max_bytes };
};

export type LogStore = ReturnType<typeof createLogStore>;
