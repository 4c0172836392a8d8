import { promisify } from 'node:util';
import { gunzip } from 'node:zlib';
import { isRelativePath } from '@berth/domain';
import { z } from 'zod';
import type { ArtifactFile, ArtifactManifest } from './artifact-manifest.js';
import type { FileStore } from './file-store.js';
import { readWhole } from './read-whole.js';

const MAX_BYTES = 256 * 1024 * 1024;

const size = z.number().int().min(0);

const manifestSchema: z.ZodType<ArtifactManifest> = z.object({
  files: z.array(
    z.object({
      path: z.string().refine(isRelativePath, 'must be a relative path'),
      bytes: size,
      sha256: z.string().regex(/^[0-9a-f]{64}$/),
      offset: size,
      mode: size.max(0o777),
      changed_at: z.number().int(),
    }),
  ),
});

/** A manifest that is read. */
export interface Listing {
  /** In the order of the pack. */
  packed: ArtifactFile[];
  /** In the order of their paths. */
  sorted: ArtifactFile[];
  find(path: string): ArtifactFile | undefined;
}

const unzip = promisify(gunzip);

/** Rejects with FileMissing where it is gone, and with an error where what is there is no manifest. */
export const readListing = async (files: FileStore, name: string): Promise<Listing> => {
  const text = await unzip(await readWhole(files, name), { maxOutputLength: MAX_BYTES });
  const listed = manifestSchema.parse(JSON.parse(text.toString('utf8'))).files;
  const byPath = new Map(listed.map((file) => [file.path, file]));
  return {
    packed: listed.toSorted((a, b) => a.offset - b.offset),
    sorted: listed.toSorted((a, b) => (a.path < b.path ? -1 : 1)),
    find: (path) => byPath.get(path),
  };
};
