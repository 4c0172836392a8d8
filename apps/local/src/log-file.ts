import { createWriteStream, existsSync, mkdirSync, readFileSync, renameSync, statSync } from 'node:fs';
import { join } from 'node:path';

const largest_bytes = 20 * 1024 * 1024;
const tail_lines = 12;

export interface LogFile {
  write(line: string): void;
  close(): Promise<void>;
}

export const toLogPath = (dataDir: string, name: string): string => join(dataDir, 'logs', `${name}.log`);

/** Its path. What grew over 20 MiB is set aside as `<name>.log.1`. */
export const prepareLog = (dataDir: string, name: string): string => {
  const path = toLogPath(dataDir, name);
  mkdirSync(join(dataDir, 'logs'), { recursive: true });
  if ((statSync(path, { throwIfNoEntry: false })?.size ?? 0) > largest_bytes) renameSync(path, `${path}.1`);
  return path;
};

/** The last lines, for a person to read. */
export const readLogTail = (dataDir: string, name: string): string => {
  const path = toLogPath(dataDir, name);
  const text = existsSync(path) ? readFileSync(path, 'utf8') : '';
  return text.trimEnd().split('\n').slice(-tail_lines).join('\n');
};

/** Appends to `logs/<name>.log`. A log that cannot be written is no reason to stop. */
export const openLog = (dataDir: string, name: string): LogFile => {
  const stream = createWriteStream(prepareLog(dataDir, name), { flags: 'a' });
  let broken = false;
  stream.on('error', () => {
    broken = true;
  });
  return {
    write: (line) => {
      if (!broken && !stream.writableEnded) stream.write(`${line}\n`);
    },
    close: () => new Promise((resolve) => (broken ? resolve() : stream.end(() => resolve()))),
  };
};
