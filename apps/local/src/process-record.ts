import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { waitUntil } from './wait-until.js';

/** A process named so that a later one with the same pid is not mistaken for it. */
export interface ProcessRecord {
  pid: number;
  started: string;
}

const startedOnLinux = (pid: number): string | undefined => {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return fields[0] === 'Z' ? undefined : fields[19];
};

const startedElsewhere = (pid: number): string | undefined =>
  execFileSync('ps', ['-o', 'lstart=', '-p', String(pid)], { encoding: 'utf8' }).trim() || undefined;

const startOf = (pid: number): string | undefined => {
  try {
    return process.platform === 'linux' ? startedOnLinux(pid) : startedElsewhere(pid);
  } catch {
    return undefined;
  }
};

/** undefined where no such process lives. */
export const identifyProcess = (pid: number): ProcessRecord | undefined => {
  const started = startOf(pid);
  return started === undefined ? undefined : { pid, started };
};

export const isAlive = (record: ProcessRecord): boolean => startOf(record.pid) === record.started;

/** undefined for anything but a record: a half-written file names nobody. */
export const parseProcessRecord = (text: string): ProcessRecord | undefined => {
  try {
    const value = JSON.parse(text) as Partial<ProcessRecord> | null;
    const { pid, started } = value ?? {};
    return Number.isInteger(pid) && typeof started === 'string' ? { pid: pid as number, started } : undefined;
  } catch {
    return undefined;
  }
};

const runFolder = (dataDir: string): string => join(dataDir, 'run');

export const recordProcess = (dataDir: string, name: string, pid: number): void => {
  const record = identifyProcess(pid);
  if (!record) return;
  mkdirSync(runFolder(dataDir), { recursive: true });
  writeFileSync(join(runFolder(dataDir), `${name}.json`), JSON.stringify(record));
};

export const forgetProcess = (dataDir: string, name: string): void =>
  rmSync(join(runFolder(dataDir), `${name}.json`), { force: true });

/** The processes that an earlier start left running, by name: it was killed before it could stop them. */
export const readLeftovers = (dataDir: string): Map<string, ProcessRecord> => {
  const found = new Map<string, ProcessRecord>();
  for (const file of listFiles(runFolder(dataDir))) {
    const record = parseProcessRecord(readFileSync(join(runFolder(dataDir), file), 'utf8'));
    if (record && isAlive(record)) found.set(basename(file, '.json'), record);
  }
  return found;
};

const listFiles = (folder: string): string[] => {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
};

/** Nothing where it is gone: its pid may be another's by now. */
export const signalProcess = (record: ProcessRecord, signal: NodeJS.Signals): void => {
  if (isAlive(record)) process.kill(record.pid, signal);
};

/** Asks it to end, then makes it. Returns when it is gone. */
export const endProcess = async (record: ProcessRecord, grace_ms: number): Promise<void> => {
  signalProcess(record, 'SIGTERM');
  if (!(await waitUntil(() => !isAlive(record), { timeout_ms: grace_ms }))) await killProcess(record);
};

/** Returns when it is gone. */
export const killProcess = async (record: ProcessRecord): Promise<void> => {
  signalProcess(record, 'SIGKILL');
  await waitUntil(() => !isAlive(record), { timeout_ms: 5_000 });
};
