import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Load, LoadResult } from './load-client.js';

export interface LoadGenerator {
  run(load: Load): Promise<LoadResult>;
  close(): void;
}

const ask = (child: ChildProcess, load: Load): Promise<LoadResult> =>
  new Promise((resolve, reject) => {
    const fail = () => reject(new Error('the load client died: see above'));
    child.once('exit', fail);
    child.once('message', (result) => {
      child.off('exit', fail);
      resolve(result as LoadResult);
    });
    child.send(load);
  });

/** One process for all of a benchmark's load, so that each variant meets the same, warm client. */
export const openLoadGenerator = (): LoadGenerator => {
  const child = fork(fileURLToPath(new URL('load-client.js', import.meta.url)));
  return { run: (load) => ask(child, load), close: () => child.disconnect() };
};
