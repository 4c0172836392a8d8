import { Worker } from 'node:worker_threads';
import type { Coverage } from './coverage.js';
import { mergeSearched, type Searched, type Seeds } from './many-seeds.js';

/** So many seeds are handed to a thread at a time. */
const BATCH = 500;

export interface FarmOptions extends Seeds {
  threads: number;
  onProgress: (done: number) => void;
}

const toFound = (part: Searched & { coverage: Iterable<[string, number]> }): Searched => ({
  ...part,
  coverage: new Map(part.coverage),
});

/** Runs seeds on several threads; ends with the last batch, or soon after the first seed that fails. */
export const searchOnThreads = (options: FarmOptions): Promise<Searched> => {
  const { first, count, mutation, threads, onProgress } = options;
  let next = 0;
  let found: Searched = { seeds: 0, coverage: new Map() as Coverage, failed: undefined };
  const take = (): Seeds | undefined => {
    if (next >= count || found.failed) return undefined;
    const batch = { first: first + next, count: Math.min(BATCH, count - next), mutation };
    next += batch.count;
    return batch;
  };
  const runThread = (): Promise<void> =>
    new Promise((resolve, reject) => {
      const thread = new Worker(new URL('./farm-thread.js', import.meta.url));
      const giveNext = (): void => {
        const batch = take();
        if (batch) thread.postMessage(batch);
        else void thread.terminate().then(() => resolve());
      };
      thread.on('message', (part: Searched) => {
        found = mergeSearched(found, toFound(part));
        onProgress(found.seeds);
        giveNext();
      });
      thread.on('error', reject);
      giveNext();
    });
  return Promise.all(Array.from({ length: threads }, runThread)).then(() => found);
};
