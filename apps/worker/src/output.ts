import type { Claim, LogNote, LogPiece, LogStore, StoredPosition } from '@berth/store';
import type { Logger } from 'pino';
import type { OutputBudget } from './output-budget.js';
import { countHeadless, createPieceQueue, createTail, type PieceQueue, STREAMS } from './output-pieces.js';
import type { OutputSink, OutputStream } from './runtime/container-runtime.js';
import { createStoring } from './store-output.js';
import { createWorkloadLines } from './workload-lines.js';

/** Pieces are stored when they have grown to this size, or after this time, whichever comes first. */
const PIECE_BYTES = 64 * 1024;
const FLUSH_MS = 20;

export interface Output {
  sink: OutputSink;
  /** Notes that output is missing between what came so far and what comes next. */
  onGap: () => void;
  /**
   * Stores what is left, with a note where something was cut. A store that refuses it for now, as it is full, is asked again for some
   * seconds; what is lost in the end is noted. Afterwards the log is as whole as it will be.
   */
  close(): Promise<void>;
  /**
   * Stores what has come so far, as it is: the output goes on, and another worker takes it up where the store ends. Nothing is
   * taken from then on, and `close` does nothing.
   */
  detach(): Promise<void>;
}

export interface OutputOptions {
  claim: Pick<Claim, 'job_id' | 'epoch' | 'owner' | 'attempt'>;
  limitBytes: number;
  logs: LogStore;
  log: Logger;
  /** Whether clients of the workload runner's format read this job's lines from their own list. */
  workloadLines: boolean;
  /** What is stored already of this epoch's output. */
  from?: StoredPosition;
  /** Shared by all output of a worker. */
  budget?: OutputBudget | undefined;
}

const GAP = 'output is missing here: the engine was away, or had thrown it away before it could be read.';

/**
 * Takes a container's output at whatever speed it comes and stores it in pieces, in order of arrival. It never stalls the container: what
 * comes faster than it can be stored waits in memory as far as the worker's budget goes, and is lost beyond it, with a note. Beyond the limit
 * of a log bytes are counted and dropped but for a tail of each stream.
 *
 * Bytes are stored once the store has them: what was taken but is the beginning of a character, or beyond the limit, is not. So a
 * worker that stops (`detach`, or dead) leaves a position behind which everything is still to be had from the container's engine.
 */
export const openOutput = ({ claim, limitBytes, logs, log, workloadLines, from, budget }: OutputOptions): Output => {
  const { attempt } = claim;
  const lines = workloadLines ? createWorkloadLines(from) : undefined;
  const { pieces = 0, unsealed_bytes = 0 } = from ?? {};
  const storing = createStoring({ claim, logs, log, first: pieces + 1, unsealed_bytes, budget });
  const queue = createPieceQueue(attempt);
  let tails = createTails();
  let kept = from ? from.stdout.bytes + from.stderr.bytes : 0;
  let dropped = 0;
  let over = from?.complete ?? false;
  let timer: NodeJS.Timeout | undefined;

  const store = (pieces: LogPiece[]): void => {
    clearTimeout(timer);
    timer = undefined;
    storing.store(pieces, lines?.take() ?? []);
  };
  const keep = (stream: OutputStream, bytes: Buffer): void => {
    kept += bytes.length;
    queue.push(stream, bytes);
    lines?.push(stream, bytes);
    if (queue.size >= PIECE_BYTES) store(queue.take());
    else timer ??= setTimeout(() => store(queue.take()), FLUSH_MS);
  };
  const finish = (last: () => LogPiece[]): void => {
    if (!over) store(last());
    over = true;
  };

  return {
    sink(stream, chunk) {
      if (over) return;
      const room = Math.max(0, limitBytes - kept);
      if (room > 0) keep(stream, Buffer.from(chunk.subarray(0, room)));
      if (chunk.length > room) tails[stream].push(chunk.subarray(room));
    },
    onGap() {
      if (over) return;
      dropped += tails.stdout.total + tails.stderr.total;
      tails = createTails();
      lines?.end();
      store([...queue.takeLast(), toNote(attempt, GAP)]);
    },
    close() {
      finish(() => {
        lines?.end();
        return takeEnd(attempt, { queue, tails, dropped });
      });
      return storing.end();
    },
    detach() {
      finish(() => queue.take());
      return storing.leave();
    },
  };
};

type Tails = Record<OutputStream, ReturnType<typeof createTail>>;
const createTails = (): Tails => ({ stdout: createTail(), stderr: createTail() });

const toNote = (attempt: number, text: string): LogPiece & { stream: 'note' } => ({
  stream: 'note',
  attempt,
  bytes: Buffer.from(`\n[berth] ${text}\n`),
});

interface Rest {
  queue: PieceQueue;
  tails: Tails;
  /** Beyond the limit, and not even in the tails. */
  dropped: number;
}

/** The last pieces: where bytes beyond the limit were dropped, a note stands in their place and the tails follow it. */
const takeEnd = (attempt: number, { queue, tails, dropped: before_tails }: Rest): LogPiece[] => {
  const before = queue.take();
  let dropped = before_tails;
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
  const end: LogNote = { ...note, about: 'end' };
  return [...before, end, ...queue.takeLast()];
};
