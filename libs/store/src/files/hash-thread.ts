import { Worker } from 'node:worker_threads';

/** In a thread of its own, so as text: it needs no module of ours. */
const PROGRAM = `
const { createHash } = require('node:crypto');
const { parentPort } = require('node:worker_threads');
const hashes = new Map();
parentPort.on('message', ({ id, block, bytes }) => {
  if (block) {
    if (!hashes.has(id)) hashes.set(id, createHash('sha256'));
    hashes.get(id).update(new Uint8Array(block, 0, bytes));
    return parentPort.postMessage({ id });
  }
  const hash = hashes.get(id);
  hashes.delete(id);
  parentPort.postMessage({ id, sha256: hash.digest('hex') });
});`;

interface Reply {
  id: number;
  sha256?: string;
}

interface Waiter {
  resolve: (reply: Reply) => void;
  reject: (error: unknown) => void;
}

/** One for the whole process, from the first time that it is needed. It keeps no process alive. */
const startThread = () => {
  const worker = new Worker(PROGRAM, { eval: true });
  const waiters = new Map<number, Waiter[]>();
  let death: { error: unknown } | undefined;
  worker.unref();
  worker.on('message', (reply: Reply) => waiters.get(reply.id)?.shift()?.resolve(reply));
  worker.on('error', (error) => {
    thread = undefined;
    death = { error };
    for (const all of waiters.values()) for (const { reject } of all) reject(error);
    waiters.clear();
  });
  return {
    ask: (id: number, message: object): Promise<Reply> =>
      new Promise((resolve, reject) => {
        if (death) return reject(death.error);
        const before = waiters.get(id) ?? [];
        waiters.set(id, [...before, { resolve, reject }]);
        worker.postMessage({ id, ...message });
      }),
    forget: (id: number) => waiters.delete(id),
  };
};

let thread: ReturnType<typeof startThread> | undefined;
let begun = 0;

/** A SHA-256 that is made beside the event loop: a gigabyte of it takes a core for seconds. */
export interface FarHash {
  /** Settles when the block may be written to again. Blocks are taken in the order of the calls. */
  update(block: SharedArrayBuffer, bytes: number): Promise<void>;
  /** Hex. Called once, at the end; also where nobody wants it any more. */
  digest(): Promise<string>;
}

export const createFarHash = (): FarHash => {
  thread ??= startThread();
  const { ask, forget } = thread;
  begun += 1;
  const id = begun;
  return {
    async update(block, bytes) {
      await ask(id, { block, bytes });
    },
    async digest() {
      const { sha256 = '' } = await ask(id, {});
      forget(id);
      return sha256;
    },
  };
};
