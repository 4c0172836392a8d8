import type { LogPages } from './log-pages.js';
import { type LogEntry, toEntry } from './log-piece.js';

export interface LogTail {
  bytes: Buffer;
  /** Whether the output began earlier than these bytes, or was cut. */
  truncated: boolean;
}

const STREAMS = ['stdout', 'stderr'] as const;
type OutputStream = (typeof STREAMS)[number];

/** Takes one stream's entries newest first until they hold `max_bytes` and it is known whether there were earlier ones. */
const createTail = (stream: OutputStream, max_bytes: number) => {
  const entries: LogEntry[] = [];
  let size = 0;
  let over = false;
  let more = false;
  return {
    stream,
    get over() {
      return over;
    },
    add(entry: LogEntry): void {
      if (over || ![stream, 'note'].includes(entry.stream)) return;
      if (entry.anew) over = true;
      else if (size >= max_bytes) more = over = true;
      else {
        entries.push(entry);
        size += entry.bytes.length;
      }
    },
    read(): LogTail {
      const all = Buffer.concat(entries.reverse().map(({ bytes }) => bytes));
      const cut = entries.some((entry) => entry.stream === 'note');
      return {
        bytes: all.subarray(Math.max(0, all.length - max_bytes)),
        truncated: more || cut || all.length > max_bytes,
      };
    },
  };
};

export interface TailsOptions {
  attempt: number;
  max_bytes: number;
}

/** The last bytes of both streams of one attempt, as its last epoch wrote them. Segments that have none of them are not read. */
export const readTails = async (
  pages: LogPages,
  job_id: string,
  { attempt, max_bytes }: TailsOptions,
): Promise<Record<OutputStream, LogTail>> => {
  const tails = STREAMS.map((stream) => createTail(stream, max_bytes));
  const open = () => tails.filter(({ over }) => !over);
  const backwards = pages.readBackwards(job_id, {
    skips: ({ attempt: of, bytes }) =>
      of !== attempt || (bytes.note === 0 && open().every(({ stream }) => bytes[stream] === 0)),
  });
  for await (const piece of backwards) {
    if (piece.attempt === attempt) for (const tail of tails) tail.add(toEntry(piece));
    if (piece.attempt < attempt || open().length === 0) break;
  }
  const [stdout, stderr] = tails.map((tail) => tail.read());
  return { stdout: stdout as LogTail, stderr: stderr as LogTail };
};
