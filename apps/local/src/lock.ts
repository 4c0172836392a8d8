import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { LocalError } from './local-error.js';
import { identifyProcess, isAlive, parseProcessRecord } from './process-record.js';

export interface Lock {
  /** True where the last holder died without giving the lock back. */
  recovered: boolean;
  release(): void;
}

/** One `npm start` per data folder. Throws a LocalError while another holds it. */
export const openLock = (dataDir: string): Lock => {
  mkdirSync(dataDir, { recursive: true });
  const file = join(dataDir, 'lock');
  const release = () => rmSync(file, { force: true });
  if (claim(file)) return { recovered: false, release };
  const holder = parseProcessRecord(readFileSync(file, 'utf8'));
  if (holder && isAlive(holder)) throw new LocalError(toTakenMessage(dataDir, holder.pid));
  release();
  if (!claim(file)) throw new LocalError(toTakenMessage(dataDir, undefined));
  return { recovered: true, release };
};

const claim = (file: string): boolean => {
  try {
    writeFileSync(file, JSON.stringify(identifyProcess(process.pid)), { flag: 'wx' });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
};

const toTakenMessage = (dataDir: string, pid: number | undefined): string =>
  `Berth already runs on ${dataDir}${pid ? ` (process ${pid})` : ''}. Stop it there with Ctrl-C${
    pid ? ` or \`kill ${pid}\`` : ''
  }, or set BERTH_DATA_DIR, BERTH_PORT and BERTH_WORKER_PORT to run a second one.`;
