import { addAbortSignal, pipeline, type Readable, Transform } from 'node:stream';
import type { FileStore } from '@berth/store';

/** While bytes come from the store or go to the engine so often, both get on, however slowly. */
const STUCK_MS = 10_000;

/** Sees whether the store and the engine get on. What is still read from the store once `signal` is aborted breaks off. */
export const watchProgress = (store: Pick<FileStore, 'read'>, signal: AbortSignal) => {
  let last = performance.now();
  const touch = () => {
    last = performance.now();
  };

  const read = async (...args: Parameters<FileStore['read']>): Promise<Readable> => {
    const source = addAbortSignal(signal, await store.read(...args));
    const seen = new Transform({
      transform(chunk, _encoding, done) {
        touch();
        done(null, chunk);
      },
    });
    return pipeline(source, seen, () => undefined);
  };

  return {
    files: { read },
    /** What the engine takes. */
    async *note(tar: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
      for await (const chunk of tar) {
        yield chunk;
        touch();
      }
    },
    isStuck: (): boolean => performance.now() - last > STUCK_MS,
  };
};
