import type { Dirent } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { isObjectName, type StoredObject } from './file-store.js';

const NONE: Dirent[] = [];

/** A folder stands where its name with a slash would, so that a walk comes by all names in order. */
const toSortKey = (entry: Dirent): string => (entry.isDirectory() ? `${entry.name}/` : entry.name);

const readSorted = async (folder: string): Promise<Dirent[]> => {
  const entries = await readdir(folder, { withFileTypes: true }).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return NONE;
    throw error;
  });
  return entries
    .map((entry) => ({ entry, key: toSortKey(entry) }))
    .sort((a, b) => (a.key < b.key ? -1 : 1))
    .map(({ entry }) => entry);
};

const mayHold = (name: string, prefix: string): boolean =>
  name.length < prefix.length ? prefix.startsWith(name) : name.startsWith(prefix);

async function* walk(root: string, parent: string, prefix: string): AsyncGenerator<StoredObject> {
  for (const entry of await readSorted(join(root, parent))) {
    const name = parent + entry.name;
    if (!isObjectName(name) || !mayHold(entry.isDirectory() ? `${name}/` : name, prefix)) continue;
    if (entry.isDirectory()) yield* walk(root, `${name}/`, prefix);
    else if (name.startsWith(prefix)) {
      const found = await stat(join(root, name)).catch(() => undefined);
      if (found?.isFile()) yield { name, bytes: found.size, changed_at: Math.floor(found.mtimeMs) };
    }
  }
}

/** What is being written, whose folder begins with a dot, has no name yet. */
export async function* listFolder(root: string, prefix: string): AsyncGenerator<StoredObject> {
  const parent = prefix.slice(0, prefix.lastIndexOf('/') + 1);
  if (parent !== '' && !isObjectName(parent.slice(0, -1))) return;
  yield* walk(root, parent, prefix);
}
