import type { ServerResponse } from 'node:http';
import type { Context } from 'hono';
import type { Logger } from 'pino';
import { watchKey } from './auth.js';
import { linkSignals } from './stop-signal.js';

/** A client that takes nothing for so long, though something waits for it, is let go. */
const STALLED_MS = 20_000;
const LOOKS = 5;

export type Chunks = AsyncGenerator<Uint8Array | string>;

export interface Streams {
  /** Answers with chunks as the client takes them: the next one is made when the one before it is on its way. */
  answer(c: Context, contentType: string, start: (signal: AbortSignal) => Chunks, more?: MoreHead): Response;
}

/** Headers here stand in place of the usual ones. */
interface MoreHead {
  status?: number;
  headers?: Record<string, string>;
}

const toBytes = (chunk: Uint8Array | string): Uint8Array => (typeof chunk === 'string' ? Buffer.from(chunk) : chunk);

/**
 * What has gone out does not grow while something waits to: the client has stalled, or its machine is gone. One that is slow makes
 * progress; one that is merely not written to has nothing waiting. The reset also takes what the kernel would keep for it.
 */
const letGoWhenStalled = (outgoing: ServerResponse, stalled_ms: number): void => {
  if (outgoing.closed) return;
  let sent = -1;
  let looks = 0;
  const look = setInterval(() => {
    const { socket } = outgoing;
    if (!socket) return;
    const waiting = socket.writableLength;
    const now = socket.bytesWritten - waiting;
    looks = waiting > 0 && now === sent ? looks + 1 : 0;
    sent = now;
    if (looks >= LOOKS) socket.resetAndDestroy();
  }, stalled_ms / LOOKS);
  outgoing.once('close', () => clearInterval(look));
};

interface Source {
  chunks: Chunks;
  /** Called before the first chunk. Not sooner: an answer to HEAD is never read, nor given up. */
  onBegin: () => void;
  /** The client does not want the rest. */
  onGone: () => void;
  /** Nothing more will be read, for whatever reason. */
  release: () => void;
  onFault: (err: unknown) => void;
}

/** The next chunk is made when the one before it is on its way. */
const toBody = ({ chunks, onBegin, onGone, release, onFault }: Source): ReadableStream<Uint8Array> => {
  let begun = false;
  let gone = false;
  const pull = async (controller: ReadableStreamDefaultController<Uint8Array>): Promise<void> => {
    if (!begun) onBegin();
    begun = true;
    const next = await chunks.next();
    // The client left while the chunk was on its way: nobody is there to take it.
    if (gone) return;
    if (!next.done) return controller.enqueue(toBytes(next.value));
    release();
    controller.close();
  };
  return new ReadableStream<Uint8Array>(
    {
      pull: (controller) =>
        pull(controller).catch((err) => {
          release();
          if (!gone) onFault(err);
          controller.error(err);
        }),
      async cancel() {
        gone = true;
        onGone();
        release();
        await chunks.return(undefined);
      },
    },
    { highWaterMark: 0 },
  );
};

/**
 * `shutdown` ends every stream in good order. Where a stream fails midway the connection is cut, so that nobody takes a part for the
 * whole. One whose key is revoked ends like one whose server shuts down. A client that stalls is cut off after `stalled_ms`, and loses nothing
 * by it: an event stream goes on after its Last-Event-ID.
 */
export const createStreams = (shutdown: AbortSignal, log: Logger, stalled_ms = STALLED_MS): Streams => ({
  answer(c, contentType, start, { status = 200, headers: more = {} } = {}) {
    const outgoing = (c.env as { outgoing?: ServerResponse } | undefined)?.outgoing;
    const stop = linkSignals(c.req.raw.signal, shutdown);
    let unwatch: (() => void) | undefined;
    const chunks = start(stop.signal);
    if (outgoing) letGoWhenStalled(outgoing, stalled_ms);
    const body = toBody({
      chunks,
      onBegin: () => {
        unwatch = watchKey(c, stop.abort);
      },
      onGone: stop.abort,
      release: () => {
        unwatch?.();
        stop.release();
      },
      onFault: (err) => {
        log.warn({ err }, 'a stream ended before its time');
        outgoing?.destroy();
      },
    });
    const headers = {
      'content-type': contentType,
      'cache-control': 'no-store',
      'content-security-policy': "default-src 'none'",
      'x-accel-buffering': 'no',
      ...more,
    };
    return new Response(body, { status, headers });
  },
});
