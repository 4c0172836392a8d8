import { isRelativePath } from '@berth/domain';
import { InputProblem, toShown } from './input-problem.js';
import { toTarHeader } from './tar-header.js';

/** Who owns what is laid, and what may be done with it: by the job's own user, whoever that is. */
export interface Ownership {
  owner: number;
  file_mode: number;
  folder_mode: number;
}

export interface LayoutLimits {
  files: number;
  bytes: number;
}

/**
 * What is laid below /workspace so far, over all inputs of a job: no path is a file and a folder, each folder is made once and before what is in
 * it, and what is unpacked stays within bounds.
 */
export const createLayout = ({ owner, file_mode, folder_mode }: Ownership, limits: LayoutLimits) => {
  const seen = new Map<string, 'file' | 'folder'>();
  let bytes = 0;

  const folder = function* (input: string, path: string): Generator<Buffer> {
    const parts = path.split('/');
    for (let depth = 1; depth <= parts.length; depth += 1) {
      const at = parts.slice(0, depth).join('/');
      const kind = seen.get(at);
      if (kind === 'folder') continue;
      if (kind === 'file') throw new InputProblem(input, `${toShown(at)} would be both a file and a folder`);
      require(input, at);
      yield toTarHeader({ name: `${at}/`, bytes: 0, mode: folder_mode, owner });
      seen.set(at, 'folder');
    }
  };
  const require = (input: string, path: string): void => {
    if (!isRelativePath(path)) throw new InputProblem(input, `${toShown(path)} is no path below /workspace`);
    if (seen.size >= limits.files) throw new InputProblem(input, `holds more than ${limits.files} files and folders`);
  };

  return {
    folder,
    /** The header of a file, behind those of the folders that it needs. Its bytes come next. */
    *file(input: string, path: string, of: { bytes: number; executable: boolean }): Generator<Buffer> {
      require(input, path);
      if (seen.get(path) === 'folder')
        throw new InputProblem(input, `${toShown(path)} would be both a file and a folder`);
      bytes += of.bytes;
      if (bytes > limits.bytes) throw new InputProblem(input, `holds more than ${limits.bytes} bytes`);
      const slash = path.lastIndexOf('/');
      if (slash !== -1) yield* folder(input, path.slice(0, slash));
      const mode = of.executable ? file_mode | ((file_mode & 0o444) >> 2) : file_mode;
      yield toTarHeader({ name: path, bytes: of.bytes, mode, owner });
      seen.set(path, 'file');
    },
  };
};
export type Layout = ReturnType<typeof createLayout>;
