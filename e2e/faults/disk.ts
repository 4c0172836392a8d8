import { appendFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';

/** A small file system of its own at `folder`, which only its mount namespace sees. To be run there. */
export const toSmallDiskScript = (folder: string, size_mb: number): string =>
  `mkdir -p ${folder} && mount -t tmpfs -o size=${size_mb}m tmpfs ${folder}`;

export interface Filler {
  /** From now on not a page is left: what others free is taken, too. */
  fill(): void;
  free(): void;
}

const AGAIN_MS = 100;
const PIECE = Buffer.alloc(1024 * 1024);

/** For the disk at `folder` in the mount namespace of the process `pid`. */
export const createFiller = (pid: number, folder: string): Filler => {
  const file = join(`/proc/${pid}/root`, folder, 'filler');
  let timer: NodeJS.Timeout | undefined;
  const fillUp = (): void => {
    try {
      for (;;) appendFileSync(file, PIECE);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
    }
  };
  return {
    fill() {
      fillUp();
      timer ??= setInterval(fillUp, AGAIN_MS);
    },
    free() {
      clearInterval(timer);
      timer = undefined;
      rmSync(file, { force: true });
    },
  };
};
