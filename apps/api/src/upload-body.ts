import { createHash } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { AppError } from '@berth/domain';
import { watchPace } from '@berth/store';
import type { HttpBindings } from '@hono/node-server';
import type { Context } from 'hono';

/** Workers send what a job is still being searched for: for long there may be nothing to send. */
const UNPACED = { least_bytes: 1, while_ms: 3_600_000 };

/** Requests whose bodies are streamed, however long that takes. */
const UPLOADS = /^\/(?:upload|v1\/files(?:\/[^/?]*)?|internal\/objects\/[^?]*)(?:\?|$)/;

export const isUpload = ({ method, url = '' }: IncomingMessage): boolean =>
  (method === 'PUT' || method === 'POST') && UPLOADS.test(url);

/** Nothing is read, so the client is told to begin only once somebody wants it. */
const invite = (incoming: IncomingMessage, outgoing: ServerResponse): void => {
  if (/^100-continue$/i.test(incoming.headers.expect ?? '')) outgoing.writeContinue();
};

const cutShort = (): AppError => new AppError('invalid_request', 'The body ended before its time, or came too slowly.');

/**
 * The body of a request as it comes, as fast as it is read. One that comes too slowly is given up; one that is not `paced`, after an hour
 * without a byte. What is left of it when the reader has had enough is thrown away by the server
 * once it has answered. Throws AppError `invalid_request` where the client breaks off, and `unsupported_media_type`.
 */
export async function* readUpload(c: Context, { paced = true } = {}): AsyncGenerator<Uint8Array> {
  const encoding = c.req.header('content-encoding');
  if (encoding !== undefined && encoding !== 'identity') {
    throw new AppError('unsupported_media_type', 'Send the body without a Content-Encoding.');
  }
  const { incoming, outgoing } = c.env as HttpBindings;
  invite(incoming as IncomingMessage, outgoing as ServerResponse);
  const unwatch = watchPace(incoming as IncomingMessage, paced ? undefined : UNPACED);
  try {
    yield* incoming.iterator({ destroyOnReturn: false }) as AsyncIterable<Uint8Array>;
    if (!incoming.complete) throw cutShort();
  } catch (error) {
    throw error instanceof AppError ? error : cutShort();
  } finally {
    unwatch();
  }
}

/**
 * For a body that nobody needs: a client that waits to be invited keeps it, any other is let finish, as few of them listen meanwhile. The
 * SHA-256 of what came. Undefined: nothing came. One that goes on behind `most_bytes` is given up, and its hash is that of its beginning.
 */
export const skipUpload = async (c: Context, most_bytes: number): Promise<string | undefined> => {
  if (c.req.header('expect') !== undefined) return undefined;
  const hash = createHash('sha256');
  let bytes = 0;
  for await (const chunk of readUpload(c)) {
    bytes += chunk.length;
    hash.update(chunk);
    if (bytes > most_bytes) break;
  }
  return bytes === 0 ? undefined : hash.digest('hex');
};

/** The length that the client says the body has. Undefined: it does not. */
export const readLength = (c: Context): number | undefined => {
  const length = c.req.header('content-length');
  return length === undefined ? undefined : Number(length);
};
