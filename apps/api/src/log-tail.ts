import type { LogEntry, LogStore } from '@berth/store';

/** Where reading begins: with a part of a piece, if any, then after the id. */
export interface LogStart {
  first?: LogEntry;
  after: string;
}

export const FROM_THE_BEGINNING: LogStart = { after: '-' };

const NEWLINE = 0x0a;

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

interface Tail {
  lines: number;
  accepts: (entry: LogEntry) => boolean;
}

/** Where the last lines begin. Reads backwards, a page at a time, and keeps none of them. */
export const findTail = async (logs: LogStore, job_id: string, { lines, accepts }: Tail): Promise<LogStart> => {
  let left = lines;
  let seen = false;
  for await (const entry of logs.readBackwards(job_id)) {
    if (lines === 0) return { after: entry.id };
    if (!accepts(entry)) continue;
    if (!seen && entry.bytes.at(-1) === NEWLINE) left += 1;
    seen = true;
    const found = findLineStart(entry.bytes, left);
    if (found.left === 0) return { first: { ...entry, bytes: entry.bytes.subarray(found.at) }, after: entry.id };
    left = found.left;
  }
  return FROM_THE_BEGINNING;
};
