import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Keeper } from './keeper.js';
import { createProgram } from './program.js';
import { GROUND, type Space } from './space.js';

/** What jobs really did, as told by themselves: one line for each start of a container. */
export interface Ledger {
  file: string;
  read(job_id?: string): LedgerLine[];
}

interface LedgerLine {
  job_id: string;
  epoch: number;
  /** Unix milliseconds. */
  at: number;
}

const PORT = 4999;
/** Verify expects a line in the ledger for every job that has it. */
const LEDGER_LABEL = 'ledger';

export const openLedger = async (place: { folder: string; keeper: Keeper; spaces: Space[] }): Promise<Ledger> => {
  const file = join(place.folder, 'ledger');
  const script = fileURLToPath(new URL('ledger-server.mjs', import.meta.url));
  const starts = place.spaces.map((space, i) => {
    const [command = '', ...args] = [...space.enter, process.execPath, script, GROUND, String(PORT), file];
    const isReady = (output: string) => output.includes('listening');
    return createProgram({ name: `ledger-${i}`, command, args, ...place, isReady }).start();
  });
  await Promise.all(starts);
  return {
    file,
    read: (job_id) => {
      const lines = existsSync(file) ? readFileSync(file, 'utf8').split('\n').filter(Boolean) : [];
      const all = lines.map((line) => {
        const [id = '', epoch, at] = line.split(' ');
        return { job_id: id, epoch: Number(epoch), at: Number(at) };
      });
      return job_id === undefined ? all : all.filter((line) => line.job_id === job_id);
    },
  };
};

/** A shell command that writes to the ledger, once a start, and then goes on with `then`. Exits with 97 where it could not. */
const toSideEffect = (then = ':'): string =>
  `echo "$BERTH_JOB_ID $BERTH_EPOCH" | nc -w 30 ${GROUND} ${PORT} | grep -q ok || exit 97; ${then}`;

/** Fields of a job that writes to the ledger. */
export const sideEffectJob = (
  then?: string,
  more: Record<string, unknown> & { labels?: Record<string, string> } = {},
) => ({
  cpus: 0.05,
  memory_mb: 16,
  ...more,
  command: toSideEffect(then),
  network: 'egress',
  labels: { ...more.labels, [LEDGER_LABEL]: 'yes' },
});
