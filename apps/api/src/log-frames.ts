import type { LogEntry } from '@berth/store';
import { createLogDecoder, type LogText } from './log-text.js';
import { toFrame } from './sse.js';

const toTime = (at: number | null): string | null => (at === null ? null : new Date(at).toISOString());

interface FrameOptions {
  /** Bytes of characters that an earlier stream of events began and did not end. */
  held: Map<string, Buffer>;
  timestamps: boolean;
}

/**
 * Pieces as events. Whoever follows the same log is given the same bytes: a thousand followers hold one frame. What is a reader's own, the
 * other half of a character, is put together for them alone.
 */
export const createLogFrames = () => {
  const plain = new WeakMap<LogEntry, Buffer>();
  const timed = new WeakMap<LogEntry, Buffer>();

  const toLogFrame = ({ id, stream, attempt, text }: LogText, at: number | null, timestamps: boolean): string =>
    toFrame('log', { stream, attempt, text, ...(timestamps ? { at: toTime(at) } : {}) }, id);

  return ({ held, timestamps }: FrameOptions) => {
    const decoder = createLogDecoder(held);
    const shared = timestamps ? timed : plain;
    let last_at: number | null = null;
    let last_id: string | undefined;
    const encode = (entry: LogEntry): Buffer | string => {
      const alone = decoder.isWhole(entry);
      const known = alone ? shared.get(entry) : undefined;
      if (known) return known;
      const text = decoder.decode(entry);
      last_id = text.id;
      const frame = toLogFrame(text, entry.at, timestamps);
      if (!alone) return frame;
      const bytes = Buffer.from(frame);
      shared.set(entry, bytes);
      return bytes;
    };
    return {
      /** Where a client that goes away goes on, once it has been given a frame. */
      get last_id() {
        return last_id;
      },
      encode(entry: LogEntry | undefined): Buffer | string | undefined {
        if (!entry) return undefined;
        last_id = entry.id;
        last_at = entry.at;
        return encode(entry);
      },
      /** What was begun and never ended; `start` is where the client began. */
      flush: (start: string): string[] =>
        decoder.flush(last_id?.split(';')[0] ?? start).map((text) => toLogFrame(text, last_at, timestamps)),
    };
  };
};

const NEWLINE = 0x0a;

/** Puts the time of its piece in front of each line; `-` where that is not known. */
export const createStamper = () => {
  let begins = true;
  return ({ bytes, at }: LogEntry): Buffer => {
    const stamp = Buffer.from(`${toTime(at) ?? '-'} `);
    const parts: Buffer[] = [];
    for (let from = 0; from < bytes.length; ) {
      const newline = bytes.indexOf(NEWLINE, from);
      const to = newline === -1 ? bytes.length : newline + 1;
      if (begins) parts.push(stamp);
      parts.push(bytes.subarray(from, to));
      begins = newline !== -1;
      from = to;
    }
    return Buffer.concat(parts);
  };
};
