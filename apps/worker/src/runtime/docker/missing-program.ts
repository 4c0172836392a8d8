import { posix } from 'node:path';
import type Docker from 'dockerode';
import { type FileKind, readFileKind } from './container-files.js';

const DEFAULT_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
type Found = 'program' | 'not_executable' | 'absent';

/** Where something may have been mounted that could be run, nobody can tell. */
const FOUND: Record<FileKind, Found> = {
  absent: 'absent',
  unseen: 'program',
  executable: 'program',
  directory: 'not_executable',
  file: 'not_executable',
  broken: 'not_executable',
};

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
    const found = FOUND[await readFileKind(container, path)];
    if (found === 'program') return found;
    if (found === 'not_executable') best = found;
  }
  return best;
};
