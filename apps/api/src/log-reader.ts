import { isTerminal } from '@berth/domain';
import type { Channels, JobRecord, LogEntry, LogStore } from '@berth/store';
import type { LogStart } from './log-tail.js';
import { readPatiently } from './patience.js';
import { HEARTBEAT_MS } from './sse.js';
import { createTurns } from './turns.js';
import type { Waiters } from './waiters.js';
import { createWake, type Wake } from './wake.js';

export interface LogQuery {
  start: LogStart;
  /** Goes on until the job ends; otherwise to the present end. */
  follow: boolean;
  signal: AbortSignal;
}

/** What is held of a log for one reader, but for its last piece: many may stand still at a time, and for long. */
const HELD_BYTES = 64 * 1024;
const MOST_PIECES = 64;
/** So many reads are on their way at a time: they share a connection with requests, which must not wait behind hundreds of them. */
const READS = 8;

/** As many of the pieces as are held at once, at least one. */
export const toHeld = (page: LogEntry[]): LogEntry[] => {
  let size = 0;
  const end = page.findIndex(({ bytes }) => {
    size += bytes.length;
    return size > HELD_BYTES;
  });
  return end === -1 ? page : page.slice(0, Math.max(1, end));
};

interface LogReaderOptions {
  logs: LogStore;
  channels: Channels;
  toChannel: (job_id: string) => string;
  waiters: Waiters;
  readJob: (job_id: string) => Promise<JobRecord | null>;
}

/** Watches for a job's end. What the feed may have missed is looked up. */
const watchEnd = ({ waiters, readJob }: Pick<LogReaderOptions, 'waiters' | 'readJob'>, job_id: string, wake: Wake) => {
  let uncertain = true;
  let ended = false;
  const close = waiters.listen(job_id, (event) => {
    if (event === 'resynced') uncertain = true;
    else ended ||= isTerminal(event.state);
    wake.ring();
  });
  const hasEnded = async (signal: AbortSignal): Promise<boolean> => {
    if (!uncertain || ended) return ended;
    uncertain = false;
    const job = await readPatiently(() => readJob(job_id), signal);
    ended ||= job === null || isTerminal(job.state);
    return ended;
  };
  return { hasEnded, close };
};

export const createLogReader = ({ logs, channels, toChannel, ...watched }: LogReaderOptions) => {
  const inTurn = createTurns(READS);
  /** All pieces that there are now. How large they are is only known when they are read, so what is too much is read again. */
  async function* readPresent(job_id: string, after: string, patience?: AbortSignal): AsyncGenerator<LogEntry> {
    let count = 1;
    for (let last = after; ; ) {
      const read = async () => {
        const page = await inTurn(() => logs.readAfter(job_id, last, count));
        const held = toHeld(page);
        count = held.length < page.length ? held.length : Math.min(2 * count, MOST_PIECES);
        return held;
      };
      const held = await (patience ? readPatiently(read, patience) : read());
      yield* held;
      const end = held.at(-1);
      if (!end) return;
      last = end.id;
    }
  }

  /**
   * Subscribe, look whether the job has ended, read, wait, read again. What is written between a read and a wait rings; what the job
   * wrote last is read after its end was seen. A notice lost with a broken connection costs a wait, never a piece.
   */
  async function* follow(job_id: string, start: string, signal: AbortSignal): AsyncGenerator<LogEntry | 'idle'> {
    const wake = createWake();
    const end = watchEnd(watched, job_id, wake);
    let unsubscribe = (): void => {};
    try {
      unsubscribe = await channels.subscribe(toChannel(job_id), wake.ring);
      for (let last = start; !signal.aborted; ) {
        const ended = await end.hasEnded(signal);
        for await (const entry of readPresent(job_id, last, signal)) {
          yield entry;
          last = entry.id;
        }
        if (ended) return;
        if (!(await wake.wait(HEARTBEAT_MS, signal))) yield 'idle';
      }
    } finally {
      unsubscribe();
      end.close();
    }
  }

  return {
    /** The pieces in order of arrival; `idle` now and then while there are none. */
    async *read(job_id: string, { start, follow: goOn, signal }: LogQuery): AsyncGenerator<LogEntry | 'idle'> {
      if (start.first) yield start.first;
      if (goOn) yield* follow(job_id, start.after, signal);
      else yield* readPresent(job_id, start.after);
    },
  };
};

export type LogReader = ReturnType<typeof createLogReader>;
