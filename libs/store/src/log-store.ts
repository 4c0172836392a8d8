import type { Redis } from 'ioredis';
import type { Keys } from './keys.js';
import type { Scripts } from './scripts.js';

/** `note` is ours: it says where output was cut. */
export type LogStream = 'stdout' | 'stderr' | 'note';

export interface LogPiece {
  stream: LogStream;
  attempt: number;
  bytes: Buffer;
}

/** A note about output that is not stored although it was there, or `end`: what follows it was taken from the output's end. */
export interface LogNote extends LogPiece {
  stream: 'note';
  about: { stdout: number; stderr: number } | 'end';
}

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

/** A stored piece. Ids grow with time and are what a reader resumes after. */
export interface LogEntry extends LogPiece {
  id: string;
  /** A note between two epochs of one attempt: what stands before it came from a container that was given up. */
  anew?: true;
}

/** How far an epoch's stored output goes, and what another worker needs to go on from there. */
export interface StoredPosition {
  stdout: { bytes: number; tail: Buffer };
  stderr: { bytes: number; tail: Buffer };
  /** The number of the last piece, 0 where there is none. */
  pieces: number;
  /** The output was too long, and its end stands there already: nothing more is to be added. */
  complete: boolean;
}

export interface LogTail {
  bytes: Buffer;
  /** Whether the output began earlier than these bytes, or was cut. */
  truncated: boolean;
}

const CODES: Record<LogStream, string> = { stdout: 'o', stderr: 'e', note: 'n' };
const ANEW = 'a';
const END = 'x';
/** Followed by the lost bytes of stdout and stderr: `l:12:0`. */
const LOST = 'l';
const STREAMS: Record<string, LogStream> = { o: 'stdout', e: 'stderr' };
const ANEW_TEXT = '\n[berth] The platform started the job again; what follows is its output from the beginning.\n';
const PAGE = 64;

/** So much of each stream's end is handed to whoever goes on. */
const POSITION_TAIL_BYTES = 1024;

type RawEntry = [Buffer, Buffer[]];

const toCode = (fields: Buffer[]): string => fields[1]?.toString() ?? '';

const toEntry = ([id, fields]: RawEntry): LogEntry => ({
  id: id.toString(),
  stream: STREAMS[toCode(fields)] ?? 'note',
  attempt: Number(fields[3]?.toString()),
  bytes: fields[5] ?? Buffer.alloc(0),
  ...(toCode(fields) === ANEW ? { anew: true } : {}),
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

const toSentCode = (piece: LogPiece | LogNote): string => {
  if (!('about' in piece)) return CODES[piece.stream];
  return piece.about === 'end' ? END : [LOST, piece.about.stdout, piece.about.stderr].join(':');
};

/** Adds one stored piece to the position before it. A note begins the tails anew: what stands before it does not touch what follows. */
const advance = (position: StoredPosition, [id, fields]: RawEntry): void => {
  const [code = '', stdout = 0, stderr = 0] = toCode(fields).split(':');
  const stream = STREAMS[code];
  position.pieces = Number(id.toString().split('-')[1]);
  position.complete ||= code === END;
  if (stream === 'stdout' || stream === 'stderr') {
    const bytes = fields[5] ?? Buffer.alloc(0);
    const tail = Buffer.concat([position[stream].tail, bytes.subarray(-POSITION_TAIL_BYTES)]);
    position[stream] = { bytes: position[stream].bytes + bytes.length, tail: tail.subarray(-POSITION_TAIL_BYTES) };
  } else {
    position.stdout = { bytes: position.stdout.bytes + Number(stdout), tail: Buffer.alloc(0) };
    position.stderr = { bytes: position.stderr.bytes + Number(stderr), tail: Buffer.alloc(0) };
  }
};

/**
 * What jobs wrote, as one stream of pieces a job. A piece's id is its epoch and its number in it, and only the present owner of an epoch
 * may add to it: an epoch's output is one true text, however many workers wrote it. A piece is announced on the job's channel in
 * the step that stores it, so a follower that reads, subscribes and reads again misses nothing.
 */
export const createLogStore = (redis: Redis, keys: Keys, scripts: Scripts) => ({
  /**
   * Sent before it returns its promise: what is sent after it on this connection comes after it. `stale`: the epoch is somebody
   * else's, or over, and nothing was stored. What was stored already is left out, so a batch may be sent twice.
   * Notes by themselves are taken even by a broker that is full.
   */
  async append(claim: LogOwner, { first, pieces, lines = [] }: LogBatch): Promise<'stored' | 'stale'> {
    const triples = pieces.flatMap((piece) => [toSentCode(piece), piece.attempt, piece.bytes]);
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

  /** Where another worker goes on with the output of a running epoch. */
  async readPosition(job_id: string, epoch: number): Promise<StoredPosition> {
    const nothing = { bytes: 0, tail: Buffer.alloc(0) };
    const position: StoredPosition = { stdout: nothing, stderr: nothing, pieces: 0, complete: false };
    for (let from = `${epoch}-0`; ; ) {
      const page = await redis.xrangeBuffer(keys.log(job_id), from, `${epoch}-18446744073709551615`, 'COUNT', PAGE);
      const raw = page as unknown as RawEntry[];
      for (const entry of raw) advance(position, entry);
      const last = raw.at(-1)?.[0];
      if (raw.length < PAGE || last === undefined) return position;
      from = `(${last.toString()}`;
    }
  },

  /** Up to `count` pieces after the given id, oldest first; empty at the present end. */
  async readAfter(job_id: string, after = '-', count = PAGE): Promise<LogEntry[]> {
    const from = after === '-' ? '-' : `(${after}`;
    const raw = await redis.xrangeBuffer(keys.log(job_id), from, '+', 'COUNT', count);
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
