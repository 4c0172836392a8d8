import { execFileSync } from 'node:child_process';
import { closeSync, openSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** A wall clock for some processes of a world, which can be set while they run. */
export interface SkewedClock {
  /** For the environment of those processes. */
  env: Record<string, string>;
  /** From now on it is so many seconds ahead of the machine's; negative: behind. */
  set(seconds: number): void;
}

const toBytes = (seconds: number): Buffer => {
  const bytes = Buffer.alloc(8);
  bytes.writeBigInt64LE(BigInt(seconds));
  return bytes;
};

/** It needs a C compiler, `cc`. */
export const createSkewedClock = (folder: string, name: string, seconds = 0): SkewedClock => {
  const library = join(folder, 'skewed-clock.so');
  const source = fileURLToPath(new URL('skewed-clock.c', import.meta.url));
  execFileSync('cc', ['-shared', '-fPIC', '-O2', '-o', library, source]);
  const file = join(folder, `clock-${name}`);
  writeFileSync(file, toBytes(seconds));
  return {
    env: { LD_PRELOAD: library, BERTH_TEST_CLOCK: file },
    set(wanted) {
      // In place: those who read it hold on to this very file.
      const open = openSync(file, 'r+');
      writeSync(open, toBytes(wanted), 0, 8, 0);
      closeSync(open);
    },
  };
};
