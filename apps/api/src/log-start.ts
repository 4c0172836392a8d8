import type { LogEntry, LogSegment, LogStore, LogStream } from '@berth/store';

/** Where reading begins: with a part of a piece, if any, then after the id. */
export interface LogStart {
  first?: LogEntry;
  after: string;
  /** Leaves out what stands before the place that was asked for; nothing where all of a piece does. */
  trim?: (entry: LogEntry) => LogEntry | undefined;
}

const FROM_THE_BEGINNING: LogStart = { after: '-' };

/** Where a reader wants to begin, in what they get of the log: at most one of these. */
export interface LogPlace {
  offset?: number | undefined;
  from_line?: number | undefined;
  tail?: number | undefined;
  /** Unix milliseconds. */
  since?: number | undefined;
}

const NEWLINE = 0x0a;

const addUp = (counts: Record<LogStream, number>, streams: readonly LogStream[]): number =>
  streams.reduce((sum, stream) => sum + counts[stream], 0);

/** Leaves out so many bytes. */
const createByteTrim = (bytes: number) => {
  let left = bytes;
  return (entry: LogEntry): LogEntry | undefined => {
    if (left === 0) return entry;
    const cut = Math.min(left, entry.bytes.length);
    left -= cut;
    return cut === entry.bytes.length ? undefined : { ...entry, bytes: entry.bytes.subarray(cut) };
  };
};

/** Leaves out what comes up to so many newlines. */
const createLineTrim = (newlines: number) => {
  let left = newlines;
  return (entry: LogEntry): LogEntry | undefined => {
    let cut = 0;
    for (; left > 0; left -= 1) {
      cut = entry.bytes.indexOf(NEWLINE, cut) + 1;
      if (cut === 0) return undefined;
    }
    if (cut === 0) return entry;
    return cut === entry.bytes.length ? undefined : { ...entry, bytes: entry.bytes.subarray(cut) };
  };
};

/** Leaves out what was written before. What has no time is older than what has one. */
const createTimeTrim = (since: number) => {
  let begun = false;
  return (entry: LogEntry): LogEntry | undefined => {
    begun ||= entry.at !== null && entry.at >= since;
    return begun ? entry : undefined;
  };
};

/** The last of the segments that `passes` lets be passed over, from the first on. */
const passOver = async (logs: LogStore, job_id: string, passes: (segment: LogSegment) => boolean): Promise<string> => {
  let after = FROM_THE_BEGINNING.after;
  for (const segment of await logs.listSegments(job_id)) {
    if (!passes(segment)) break;
    after = segment.last;
  }
  return after;
};

type Streams = readonly LogStream[];

const findOffset = async (logs: LogStore, job_id: string, offset: number, streams: Streams): Promise<LogStart> => {
  let left = offset;
  const after = await passOver(logs, job_id, ({ bytes }) => {
    const size = addUp(bytes, streams);
    if (size > left) return false;
    left -= size;
    return true;
  });
  return { after, trim: createByteTrim(left) };
};

const findLine = async (logs: LogStore, job_id: string, line: number, streams: Streams): Promise<LogStart> => {
  let left = line - 1;
  const after = await passOver(logs, job_id, ({ lines }) => {
    const count = addUp(lines, streams);
    if (count >= left) return false;
    left -= count;
    return true;
  });
  return { after, trim: createLineTrim(left) };
};

const findTime = async (logs: LogStore, job_id: string, since: number): Promise<LogStart> => {
  const after = await passOver(logs, job_id, ({ last_at }) => last_at === null || last_at < since);
  return { after, trim: createTimeTrim(since) };
};

/** The index after the `count`-th newline from the end, and how many are still to find. */
const findLineStart = (bytes: Buffer, count: number): { at: number; left: number } => {
  let end = bytes.length;
  for (let left = count; ; left--) {
    const at = end === 0 ? -1 : bytes.lastIndexOf(NEWLINE, end - 1);
    if (at === -1) return { at: 0, left };
    if (left === 1) return { at: at + 1, left: 0 };
    end = at;
  }
};

/** Where the last lines begin. Reads backwards, keeps none of it, and passes over segments whose lines are all among them. */
const findTail = async (logs: LogStore, job_id: string, lines: number, streams: Streams): Promise<LogStart> => {
  if (lines === 0) return { after: await logs.readEnd(job_id) };
  let left = lines;
  let seen = false;
  const skips = (segment: LogSegment): boolean => {
    if (!seen) return addUp(segment.bytes, streams) === 0;
    const count = addUp(segment.lines, streams);
    if (left <= count) return false;
    left -= count;
    return true;
  };
  for await (const entry of logs.readBackwards(job_id, { skips })) {
    if (entry.bytes.length === 0 || !streams.includes(entry.stream)) continue;
    if (!seen && entry.bytes.at(-1) === NEWLINE) left += 1;
    seen = true;
    const found = findLineStart(entry.bytes, left);
    if (found.left === 0) return { first: { ...entry, bytes: entry.bytes.subarray(found.at) }, after: entry.id };
    left = found.left;
  }
  return FROM_THE_BEGINNING;
};

/** Finds the place by the index of segments: what stands before it is not read. */
export const findStart = async (
  logs: LogStore,
  job_id: string,
  place: LogPlace,
  streams: Streams,
): Promise<LogStart> => {
  const { offset, from_line, tail, since } = place;
  if (offset !== undefined) return findOffset(logs, job_id, offset, streams);
  if (from_line !== undefined) return findLine(logs, job_id, from_line, streams);
  if (since !== undefined) return findTime(logs, job_id, since);
  return tail === undefined ? FROM_THE_BEGINNING : findTail(logs, job_id, tail, streams);
};
