import { createHash } from 'node:crypto';
import { createFarHash, type FarHash } from './hash-thread.js';

const BLOCK_BYTES = 1024 * 1024;
const MOST_BLOCKS = 4;

export interface HashedWriter {
  /** Settles when more may come; what was written before it may be on its way still. */
  write(chunk: Uint8Array): Promise<void>;
  /** Settles when all is written, with the SHA-256 in hex. */
  end(): Promise<string>;
  /** Settles when nothing is on its way, whatever became of it. Called where `end` was not, or did not succeed. */
  settle(): Promise<void>;
}

/** Blocks of memory that two threads see, on their way to the disk and through the hash; each is used again when it is through both. */
const createBlocks = (writeOut: (bytes: Uint8Array) => Promise<void>, hash: FarHash) => {
  const free = Array.from({ length: MOST_BLOCKS }, () => new SharedArrayBuffer(BLOCK_BYTES));
  const busy: Promise<SharedArrayBuffer>[] = [];
  let written: Promise<void> = Promise.resolve();
  const fill = (block: SharedArrayBuffer, chunks: Uint8Array[]): number => {
    const view = new Uint8Array(block);
    let at = 0;
    for (const chunk of chunks) {
      view.set(chunk, at);
      at += chunk.byteLength;
    }
    return at;
  };
  return {
    async send(chunks: Uint8Array[]): Promise<void> {
      const block = free.pop() ?? ((await busy.shift()) as SharedArrayBuffer);
      const bytes = fill(block, chunks);
      written = written.then(() => writeOut(new Uint8Array(block, 0, bytes)));
      const through = Promise.all([written, hash.update(block, bytes)]).then(() => block);
      through.catch(() => undefined);
      busy.push(through);
    },
    async end(): Promise<void> {
      await Promise.all(busy);
    },
    async settle(): Promise<void> {
      await Promise.allSettled(busy);
    },
  };
};

/**
 * Writes and hashes what comes, a block at a time. What is small is hashed on the spot; from the first full block on a second thread does it,
 * while the disk writes and the next block comes in.
 */
export const createHashedWriter = (writeOut: (bytes: Uint8Array) => Promise<void>): HashedWriter => {
  let far: { hash: FarHash; blocks: ReturnType<typeof createBlocks> } | undefined;
  let batch: Uint8Array[] = [];
  let bytes = 0;
  const flush = async (): Promise<void> => {
    if (far === undefined) {
      const hash = createFarHash();
      far = { hash, blocks: createBlocks(writeOut, hash) };
    }
    const chunks = batch;
    batch = [];
    bytes = 0;
    await far.blocks.send(chunks);
  };
  const push = (chunk: Uint8Array): void => {
    batch.push(chunk);
    bytes += chunk.byteLength;
  };
  return {
    async write(chunk) {
      for (let rest = chunk; rest.byteLength > 0; ) {
        const room = BLOCK_BYTES - bytes;
        push(rest.subarray(0, room));
        rest = rest.subarray(room);
        if (bytes === BLOCK_BYTES) await flush();
      }
    },
    async end() {
      if (far === undefined) {
        const all = Buffer.concat(batch);
        if (all.length > 0) await writeOut(all);
        return createHash('sha256').update(all).digest('hex');
      }
      await flush();
      await far.blocks.end();
      const { hash } = far;
      far = undefined;
      return hash.digest();
    },
    async settle() {
      if (far === undefined) return;
      await far.blocks.settle();
      await far.hash.digest().catch(() => undefined);
    },
  };
};
