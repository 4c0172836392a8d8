import type { IncomingMessage } from 'node:http';

/** So slow is nobody who means it. */
const LEAST_BYTES = 16 * 1024;
const WHILE_MS = 30_000;

export interface Pace {
  least_bytes: number;
  while_ms: number;
}

/**
 * Gives up an upload that waits for its client and gets less than `least_bytes` in a while; one that has come whole waits for nobody but us.
 * Returns what ends the watch.
 */
export const watchPace = (
  incoming: Pick<IncomingMessage, 'socket' | 'readableLength' | 'complete' | 'destroy'>,
  { least_bytes, while_ms }: Pace = { least_bytes: LEAST_BYTES, while_ms: WHILE_MS },
): (() => void) => {
  const { socket } = incoming;
  let seen = socket.bytesRead;
  const look = setInterval(() => {
    const came = socket.bytesRead - seen;
    seen = socket.bytesRead;
    // What came and was not read yet: then it is we who are slow.
    if (came >= least_bytes || incoming.readableLength > 0 || incoming.complete) return;
    incoming.destroy(new Error('the body comes too slowly'));
  }, while_ms);
  return () => clearInterval(look);
};
