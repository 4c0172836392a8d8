import { accessSync, constants, statSync } from 'node:fs';
import { join } from 'node:path';

/** The first of `names` that is a program in one of the folders; every folder is asked for the first name first. */
export const findProgram = (names: readonly string[], path: readonly string[]): string | undefined => {
  for (const name of names) {
    const found = path.map((folder) => join(folder, name)).find(isProgram);
    if (found) return found;
  }
  return undefined;
};

const isProgram = (file: string): boolean => {
  try {
    accessSync(file, constants.X_OK);
    return statSync(file).isFile();
  } catch {
    return false;
  }
};
