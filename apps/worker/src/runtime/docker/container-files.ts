import { posix } from 'node:path';
import type { Readable } from 'node:stream';
import type Docker from 'dockerode';
import { callWithin, DEADLINES } from './engine-calls.js';
import { toStatusCode } from './faults.js';
import { isRecord } from './json-lines.js';

const MAX_LINKS = 8;
/** Bits of the mode as the engine gives it: Go's, not POSIX's. */
const DIRECTORY = 2 ** 31;
const SYMLINK = 2 ** 27;
const EXECUTABLE = 0o111;

/** `broken`: a link that leads round in circles. `unseen`: nothing is there now, but something may be mounted when it runs. */
export type FileKind = 'absent' | 'unseen' | 'directory' | 'executable' | 'file' | 'broken';

/** What stands at an absolute path, or where a link there leads, in a container that need not run. Rejects where the engine does. */
export const readFileKind = async (container: Docker.Container, first: string): Promise<FileKind> => {
  let path = first;
  for (let links = 0; links < MAX_LINKS; links += 1) {
    const stat = await readStat(container, path);
    if (stat === undefined) return isMounted(path) ? 'unseen' : 'absent';
    if (!hasBit(stat.mode, SYMLINK)) return toKind(stat.mode);
    path = posix.resolve(posix.dirname(path), stat.link_target);
  }
  return 'broken';
};

/** The engine's own file systems and what a job mounts are not to be seen in a container that does not run. */
const isMounted = (path: string): boolean => /^\/(proc|sys|dev|tmp|workspace)(\/|$)/.test(path);

const toKind = (mode: number): FileKind => {
  if (hasBit(mode, DIRECTORY)) return 'directory';
  return (mode & EXECUTABLE) === 0 ? 'file' : 'executable';
};

const hasBit = (mode: number, bit: number): boolean => Math.floor(mode / bit) % 2 === 1;

interface Stat {
  mode: number;
  link_target: string;
}

const readStat = async (container: Docker.Container, path: string): Promise<Stat | undefined> => {
  const reply = await callWithin(DEADLINES.read, (abortSignal) => container.infoArchive({ path, abortSignal })).catch(
    (error: unknown) => {
      if (toStatusCode(error) === 404) return undefined;
      throw error;
    },
  );
  if (reply === undefined) return undefined;
  const stream = reply as unknown as Readable & { headers: Record<string, string | undefined> };
  stream.resume();
  return parseStat(stream.headers['x-docker-container-path-stat'] ?? '');
};

const parseStat = (header: string): Stat => {
  const stat: unknown = JSON.parse(Buffer.from(header, 'base64').toString());
  if (!isRecord(stat) || typeof stat.mode !== 'number') {
    throw new Error('the engine described a file in an unknown way');
  }
  return { mode: stat.mode, link_target: typeof stat.linkTarget === 'string' ? stat.linkTarget : '' };
};
