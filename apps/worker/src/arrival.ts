import type { IncomingMessage, ServerResponse } from 'node:http';

const TIMED_OUT = 'HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n';

const uploads = new WeakSet<IncomingMessage>();

/** Says that somebody who may send it reads the body of a request as it comes, and watches its pace. */
export const noteUpload = (incoming: IncomingMessage): void => {
  uploads.add(incoming);
};

/** The body of a request must have arrived after so long, unless it is an upload that was let in. Node's own limit knows no exceptions. */
export const createArrivalLimit =
  (limit_ms: number) =>
  (incoming: IncomingMessage, outgoing: ServerResponse): void => {
    if (incoming.complete) return;
    const limit = setTimeout(() => {
      if (incoming.complete || incoming.destroyed || uploads.has(incoming)) return;
      if (!outgoing.headersSent) incoming.socket.write(TIMED_OUT);
      incoming.socket.destroySoon();
    }, limit_ms);
    incoming.once('close', () => clearTimeout(limit));
  };
