import { isLogEntryId, type LogEntry, type LogStream } from '@berth/store';

/** Where a UTF-8 character that the bytes end in the middle of begins, or the length where they end with a whole one. */
const findSplitCharacter = (bytes: Uint8Array): number => {
  for (let back = 1; back <= Math.min(3, bytes.length); back++) {
    const byte = bytes[bytes.length - back] ?? 0;
    if ((byte & 0xc0) === 0x80) continue;
    const size = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1;
    return size > back ? bytes.length - back : bytes.length;
  }
  return bytes.length;
};

/** Text of a stream of an attempt, and the id to go on after. */
export interface LogText {
  stream: LogStream;
  attempt: number;
  text: string;
  id: string;
}

/**
 * Where a client goes on: after a piece, and with the bytes of characters that this piece began and did not end. The bytes
 * travel in the id (`<entry>;stdout.1.e282`), so that a client that comes back, to any replica, gets them once and whole.
 */
export interface LogPosition {
  after: string;
  held: Map<string, Buffer>;
}

const HELD = /^(?:stdout|stderr|note)\.\d{1,6}\.(?:[0-9a-f]{2}){1,3}$/;
const MAX_HELD = 8;

/** A Last-Event-ID of ours, or undefined. */
export const parseLogPosition = (text: string): LogPosition | undefined => {
  const [after = '', ...parts] = text.split(';');
  if (!isLogEntryId(after) || parts.length > MAX_HELD || !parts.every((part) => HELD.test(part))) return undefined;
  const held = parts.map((part): [string, Buffer] => {
    const [stream, attempt, hex = ''] = part.split('.');
    return [`${stream}.${attempt}`, Buffer.from(hex, 'hex')];
  });
  return { after, held: new Map(held) };
};

/**
 * Turns pieces into text: a character that is split between two pieces comes with the second one. Bytes that are no UTF-8
 * become U+FFFD.
 */
export const createLogDecoder = (held = new Map<string, Buffer>()) => {
  const toId = (after: string): string =>
    [after, ...[...held].map(([key, bytes]) => `${key}.${bytes.toString('hex')}`)].join(';');

  return {
    /** Whether a piece can be decoded by itself: it neither ends a character that another began nor begins one. */
    isWhole: ({ bytes }: LogEntry): boolean => held.size === 0 && findSplitCharacter(bytes) === bytes.length,

    decode({ id, stream, attempt, bytes }: LogEntry): LogText {
      const key = `${stream}.${attempt}`;
      const before = held.get(key);
      const all = before ? Buffer.concat([before, bytes]) : bytes;
      const split = findSplitCharacter(all);
      held.delete(key);
      if (split < all.length) held.set(key, all.subarray(split));
      return { stream, attempt, text: all.toString('utf8', 0, split), id: toId(id) };
    },

    /** What was begun and never ended. */
    flush(after: string): LogText[] {
      return [...held].map(([key, bytes]) => {
        const [stream, attempt] = key.split('.');
        held.delete(key);
        return { stream: stream as LogStream, attempt: Number(attempt), text: bytes.toString('utf8'), id: toId(after) };
      });
    },
  };
};

/** A tail as text: without the rest of a character whose beginning was cut off, and never failing. */
export const toTailText = (bytes: Buffer, truncated: boolean): string => {
  let start = 0;
  while (truncated && start < Math.min(3, bytes.length) && ((bytes[start] ?? 0) & 0xc0) === 0x80) start++;
  return bytes.toString('utf8', start);
};
