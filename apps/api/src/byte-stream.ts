import type { ServerResponse } from 'node:http';
import type { Context } from 'hono';
import type { Logger } from 'pino';
import { linkSignals } from './stop-signal.js';

/** A client that takes nothing for so long is let go. */
const STALLED_MS = 30_000;

export type Chunks = AsyncGenerator<Uint8Array | string>;

export interface Streams {
  /** Answers with chunks as the client takes them: the next one is made when the one before it is on its way. */
  answer(c: Context, contentType: string, start: (signal: AbortSignal) => Chunks): Response;
}

const toBytes = (chunk: Uint8Array | string): Uint8Array => (typeof chunk === 'string' ? Buffer.from(chunk) : chunk);

/** A stalled client shows as a write that is not taken; one that is merely not written to shows nothing. */
const letGoWhenStalled = (outgoing: ServerResponse | undefined): void => {
  outgoing?.setTimeout(STALLED_MS, () => {
    if (outgoing.writableNeedDrain) outgoing.destroy();
  });
};

/**
 * `shutdown` ends every stream in good order. Where a stream fails midway the connection is cut, so that nobody takes a part for the
 * whole.
 */
export const createStreams = (shutdown: AbortSignal, log: Logger): Streams => ({
  answer(c, contentType, start) {
    const outgoing = (c.env as { outgoing?: ServerResponse } | undefined)?.outgoing;
    const stop = linkSignals(c.req.raw.signal, shutdown);
    const chunks = start(stop.signal);
    letGoWhenStalled(outgoing);
    let gone = false;
    const body = new ReadableStream<Uint8Array>(
      {
        async pull(controller) {
          try {
            const next = await chunks.next();
            // The client left while the chunk was on its way: nobody is there to take it.
            if (gone) return;
            if (!next.done) return controller.enqueue(toBytes(next.value));
            stop.release();
            controller.close();
          } catch (err) {
            stop.release();
            log.warn({ err }, 'a stream ended before its time');
            if (outgoing) outgoing.destroy();
            controller.error(err);
          }
        },
        async cancel() {
          gone = true;
          stop.abort();
          stop.release();
          await chunks.return(undefined);
        },
      },
      { highWaterMark: 0 },
    );
    const headers = {
      'content-type': contentType,
      'cache-control': 'no-store',
      'content-security-policy': "default-src 'none'",
      'x-accel-buffering': 'no',
    };
    return new Response(body, { headers });
  },
});
