import type { LogPiece, LogStore } from '@berth/store';
import type { Logger } from 'pino';
import type { OutputSink, OutputStream } from './runtime/container-runtime.js';
import { createWorkloadLines } from './workload-lines.js';

/** Pieces are stored when they have grown to this size, or after this time, whichever comes first. */
const PIECE_BYTES = 64 * 1024;
const FLUSH_MS = 20;
/** Beyond the limit the last bytes of each stream are kept all the same: errors stand at the end. */
export const TAIL_BYTES = 32 * 1024;

const STREAMS = ['stdout', 'stderr'] as const;

/** The last bytes of a stream, in a fixed amount of memory. */
const createTail = () => {
  let ring = Buffer.alloc(0);
  let end = 0;
  let total = 0;
  return {
    get total() {
      return total;
    },
    push(chunk: Buffer): void {
      if (ring.length === 0) ring = Buffer.alloc(TAIL_BYTES);
      total += chunk.length;
      for (let rest = chunk.subarray(Math.max(0, chunk.length - TAIL_BYTES)); rest.length > 0; ) {
        const copied = rest.copy(ring, end);
        rest = rest.subarray(copied);
        end = (end + copied) % TAIL_BYTES;
      }
    },
    read: (): Buffer =>
      total < TAIL_BYTES ? ring.subarray(0, total) : Buffer.concat([ring.subarray(end), ring.subarray(0, end)]),
  };
};

const toCharacterLength = (first: number): number => (first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : first >= 0xc0 ? 2 : 1);

/** How many bytes at the end are the beginning of a UTF-8 character whose rest has not come yet: 0 to 3. */
export const countUnfinished = (bytes: Buffer): number => {
  for (let back = 1; back <= Math.min(3, bytes.length); back += 1) {
    const byte = bytes[bytes.length - back] ?? 0;
    if ((byte & 0xc0) !== 0x80) return toCharacterLength(byte) > back ? back : 0;
  }
  return 0;
};

/** How many bytes at the start are the rest of a UTF-8 character whose beginning is missing: 0 to 3. */
const countHeadless = (bytes: Buffer): number => {
  const start = bytes.subarray(0, 4).findIndex((byte) => (byte & 0xc0) !== 0x80);
  return start > 0 && start <= 3 ? start : 0;
};

const NOTHING = Buffer.alloc(0);

/**
 * Output on its way to the store, in order of arrival. Pieces end between characters, so that each can be decoded alone: the beginning
 * of a character waits for its rest, which may come after a piece of the other stream.
 */
const createPieceQueue = (attempt: number) => {
  let pending: { stream: OutputStream; chunks: Buffer[] }[] = [];
  const begun: Record<OutputStream, Buffer> = { stdout: NOTHING, stderr: NOTHING };
  let size = 0;
  const push = (stream: OutputStream, bytes: Buffer): void => {
    size += bytes.length;
    const current = pending.at(-1);
    if (current?.stream === stream) current.chunks.push(bytes);
    else pending.push({ stream, chunks: [bytes] });
  };
  /** What a character had begun with, without its rest. */
  const takeBegun = (stream: OutputStream): Buffer => {
    const bytes = begun[stream];
    begun[stream] = NOTHING;
    return bytes;
  };
  const take = (): LogPiece[] => {
    const pieces: LogPiece[] = [];
    for (const { stream, chunks } of pending) {
      const bytes = Buffer.concat([begun[stream], ...chunks]);
      const cut = bytes.length - countUnfinished(bytes);
      begun[stream] = bytes.subarray(cut);
      if (cut > 0) pieces.push({ stream, attempt, bytes: bytes.subarray(0, cut) });
    }
    pending = [];
    size = 0;
    return pieces;
  };
  return {
    get size() {
      return size;
    },
    push,
    takeBegun,
    /** All but characters that are not whole yet. */
    take,
    /** All: nothing more will come. */
    takeLast(): LogPiece[] {
      const pieces = take();
      for (const stream of STREAMS) {
        const bytes = takeBegun(stream);
        if (bytes.length > 0) pieces.push({ stream, attempt, bytes });
      }
      return pieces;
    },
  };
};

type PieceQueue = ReturnType<typeof createPieceQueue>;

export interface Output {
  sink: OutputSink;
  /** Stores what is left, with a note where something was cut. Sent before it returns its promise, so a later call comes after it. */
  close(): Promise<void>;
}

export interface OutputOptions {
  job_id: string;
  epoch: number;
  attempt: number;
  limitBytes: number;
  logs: LogStore;
  log: Logger;
  /** Whether clients of the workload runner's format read this job's lines from their own list. */
  workloadLines: boolean;
}

/**
 * Takes a container's output at whatever speed it comes and stores it in pieces, in order of arrival. It never stalls the container and
 * holds at most the limit in memory: beyond it, bytes are counted and dropped but for a tail of each stream.
 */
export const openOutput = (options: OutputOptions): Output => {
  const { job_id, epoch, attempt, limitBytes, logs, log } = options;
  const lines = options.workloadLines ? createWorkloadLines() : undefined;
  const tails = { stdout: createTail(), stderr: createTail() };
  const queue = createPieceQueue(attempt);
  let kept = 0;
  /** Bytes that the store refused since the last piece that it took. */
  let unstored = 0;
  let sentPieces = 0;
  let storing = Promise.resolve();
  let timer: NodeJS.Timeout | undefined;

  const store = (pieces: LogPiece[]): void => {
    clearTimeout(timer);
    timer = undefined;
    const whole = lines?.take() ?? [];
    if (pieces.length === 0 && whole.length === 0) return;
    if (unstored > 0) pieces.unshift(toNote(attempt, `${unstored} bytes of output could not be stored`));
    unstored = 0;
    const place = { epoch, first: sentPieces + 1 };
    sentPieces += pieces.length;
    const sent = logs.append(job_id, pieces, place).catch((err) => {
      unstored += pieces.reduce((sum, { bytes }) => sum + bytes.length, 0);
      throw err;
    });
    const listed = logs.appendWorkloadLines(job_id, whole);
    storing = Promise.all([storing, sent, listed]).then(
      () => {},
      (err) => log.warn({ err, job_id }, 'could not store output'),
    );
  };
  const keep = (stream: OutputStream, bytes: Buffer): void => {
    kept += bytes.length;
    queue.push(stream, bytes);
    lines?.push(stream, bytes);
    if (queue.size >= PIECE_BYTES) store(queue.take());
    else timer ??= setTimeout(() => store(queue.take()), FLUSH_MS);
  };

  return {
    sink(stream, chunk) {
      const room = limitBytes - kept;
      if (room > 0) keep(stream, Buffer.from(chunk.subarray(0, room)));
      if (chunk.length > room) tails[stream].push(chunk.subarray(Math.max(0, room)));
    },
    async close() {
      lines?.end();
      store(takeEnd(attempt, queue, tails));
      await storing;
    },
  };
};

type Tails = Record<OutputStream, ReturnType<typeof createTail>>;

const toNote = (attempt: number, text: string): LogPiece => ({
  stream: 'note',
  attempt,
  bytes: Buffer.from(`\n[berth] ${text}\n`),
});

/** The last pieces: where bytes beyond the limit were dropped, a note stands in their place and the tails follow it. */
const takeEnd = (attempt: number, queue: PieceQueue, tails: Tails): LogPiece[] => {
  const before = queue.take();
  let dropped = 0;
  for (const stream of STREAMS) {
    const { total } = tails[stream];
    const tail = tails[stream].read();
    if (tail.length === total) {
      if (total > 0) queue.push(stream, tail);
      continue;
    }
    const headless = countHeadless(tail);
    dropped += total - tail.length + headless + queue.takeBegun(stream).length;
    queue.push(stream, tail.subarray(headless));
  }
  if (dropped === 0) return [...before, ...queue.takeLast()];
  const note = toNote(attempt, `${dropped} bytes of output were cut here; what follows is the end of it.`);
  return [...before, note, ...queue.takeLast()];
};
