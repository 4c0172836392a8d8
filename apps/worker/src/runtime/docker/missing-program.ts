import { posix } from 'node:path';
import type { Readable } from 'node:stream';
import type Docker from 'dockerode';
import { callWithin, DEADLINES } from './engine-calls.js';
import { toStatusCode } from './faults.js';
import { isRecord } from './json-lines.js';

const DEFAULT_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
const MAX_LINKS = 8;
/** Bits of the mode as the engine gives it: Go's, not POSIX's. */
const DIRECTORY = 2 ** 31;
const SYMLINK = 2 ** 27;
const EXECUTABLE = 0o111;

type Found = 'program' | 'not_executable' | 'absent';

/**
 * Under an init process a program that is not there is no start failure for the engine: init starts, cannot run it, and exits with
 * 127 (or 126) just as a shell would whose own command is missing. What tells them apart is the container's file
 * system, which is still there after the end. Gives a message for people where the program could never have run;
 * undefined where it could, or where nobody can tell.
 */
export const findMissingProgram = async (
  container: Docker.Container,
  config: Pick<Docker.ContainerInspectInfo['Config'], 'Entrypoint' | 'Cmd' | 'Env' | 'WorkingDir'>,
): Promise<string | undefined> => {
  const program = [config.Entrypoint ?? [], config.Cmd ?? []].flat()[0];
  if (program === undefined) return undefined;
  try {
    const found = await findBest(container, toCandidates(program, config.Env ?? [], config.WorkingDir));
    if (found === 'program') return undefined;
    return found === 'absent'
      ? `The program ${JSON.stringify(program)} is not in the image, or not on its PATH. Check the command and the image.`
      : `${JSON.stringify(program)} is not an executable file in the image. Check the command and the file's mode.`;
  } catch {
    return undefined;
  }
};

export const toCandidates = (program: string, env: string[], workdir: string): string[] => {
  if (program.includes('/')) return [posix.resolve('/', workdir, program)];
  const path = env.find((entry) => entry.startsWith('PATH='))?.slice('PATH='.length) || DEFAULT_PATH;
  return path.split(':').map((folder) => posix.resolve('/', workdir, folder, program));
};

const findBest = async (container: Docker.Container, candidates: string[]): Promise<Found> => {
  let best: Found = 'absent';
  for (const path of candidates) {
    const found = await findAt(container, path);
    if (found === 'program') return found;
    if (found === 'not_executable') best = found;
  }
  return best;
};

/** The engine's own file systems and what a job mounts are not to be seen after the end: anything may have been there. */
const isMounted = (path: string): boolean => /^\/(proc|sys|dev|tmp|workspace)(\/|$)/.test(path);

const findAt = async (container: Docker.Container, first: string): Promise<Found> => {
  let path = first;
  for (let links = 0; links < MAX_LINKS; links += 1) {
    const stat = await readStat(container, path);
    if (stat === undefined) return isMounted(path) ? 'program' : 'absent';
    if (!hasBit(stat.mode, SYMLINK)) return isProgram(stat.mode) ? 'program' : 'not_executable';
    path = posix.resolve(posix.dirname(path), stat.link_target);
  }
  return 'not_executable';
};

const hasBit = (mode: number, bit: number): boolean => Math.floor(mode / bit) % 2 === 1;
const isProgram = (mode: number): boolean => !hasBit(mode, DIRECTORY) && (mode & EXECUTABLE) !== 0;

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
  if (!isRecord(stat) || typeof stat.mode !== 'number')
    throw new Error('the engine described a file in an unknown way');
  return { mode: stat.mode, link_target: typeof stat.linkTarget === 'string' ? stat.linkTarget : '' };
};
