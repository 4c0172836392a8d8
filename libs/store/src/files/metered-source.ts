import { createHash } from 'node:crypto';
import { FileTooLarge, type PutOptions, type Written } from './file-store.js';

/** What a source may not be relied on to do: end when it is told to. Whoever consumes this is rejected at once when the signal goes off. */
export async function* readAbortable(
  source: AsyncIterable<Uint8Array>,
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array> {
  if (!signal) return yield* source;
  signal.throwIfAborted();
  const chunks = source[Symbol.asyncIterator]();
  // One promise for all chunks to race with would hold every one of them until the end.
  let refuse: (reason: unknown) => void = () => undefined;
  const abort = () => refuse(signal.reason);
  const readNext = (): Promise<IteratorResult<Uint8Array>> =>
    new Promise((resolve, reject) => {
      refuse = reject;
      if (signal.aborted) reject(signal.reason);
      else chunks.next().then(resolve, reject);
    });
  signal.addEventListener('abort', abort, { once: true });
  let ended = false;
  try {
    for (;;) {
      const next = await readNext();
      ended = next.done === true;
      if (next.done) return;
      yield next.value;
    }
  } catch (error) {
    ended = !signal.aborted;
    throw error;
  } finally {
    signal.removeEventListener('abort', abort);
    // A source that hangs answers this as little as anything else.
    if (!ended) void Promise.resolve(chunks.return?.()).catch(() => undefined);
  }
}

/** Counts and hashes what goes by. */
export interface Meter {
  /** Throws FileTooLarge. */
  count(chunk: Uint8Array): void;
  hash(chunk: Uint8Array): void;
  written(): Written;
}

export const createCounter = ({ max_bytes = Number.POSITIVE_INFINITY }: PutOptions) => {
  let bytes = 0;
  return {
    bytes: () => bytes,
    count(chunk: Uint8Array): void {
      bytes += chunk.byteLength;
      if (bytes > max_bytes) throw new FileTooLarge(max_bytes);
    },
  };
};

export const createMeter = (options: PutOptions): Meter => {
  const sha256 = createHash('sha256');
  const counter = createCounter(options);
  return {
    count: counter.count,
    hash(chunk) {
      sha256.update(chunk);
    },
    written: () => ({ bytes: counter.bytes(), sha256: sha256.digest('hex') }),
  };
};

/** For a store that takes a stream and says nothing of its own about it. */
export async function* readMetered(
  source: AsyncIterable<Uint8Array>,
  meter: Meter,
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array> {
  for await (const chunk of readAbortable(source, signal)) {
    meter.count(chunk);
    meter.hash(chunk);
    yield chunk;
  }
}
