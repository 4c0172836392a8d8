import { join } from 'node:path';
import { z } from 'zod';
import type { FileStore } from './file-store.js';
import { openHttpFiles } from './http-files.js';
import { openLocalFiles } from './local-files.js';
import { parseS3Url } from './s3-url.js';

/** Where objects are kept: a folder, `s3://bucket/prefix`, or with whoever answers at a URL. */
export type FilesPlace =
  | { kind: 'folder'; folder: string }
  | { kind: 's3'; url: string }
  | { kind: 'api'; url: string };

/** What BERTH_FILES says: a folder or `s3://bucket/prefix`. Throws an error that says what is wrong with it. */
export const parseFilesPlace = (text: string): FilesPlace => {
  if (!/^[a-z0-9+.-]+:\/\//i.test(text)) return { kind: 'folder', folder: text };
  if (parseS3Url(text)) return { kind: 's3', url: text };
  throw new Error('must be the path of a folder, or s3://bucket/prefix');
};

/** BERTH_FILES as a configuration reads it. */
export const filesPlaceSchema = z.string().transform((text, context) => {
  try {
    return parseFilesPlace(text);
  } catch (error) {
    context.addIssue({ code: 'custom', message: (error as Error).message });
    return z.NEVER;
  }
});

/** Where files are when nobody says where: beside the other data of this machine. */
export const toOwnFolder = (data_dir = 'data'): FilesPlace => ({ kind: 'folder', folder: join(data_dir, 'files') });

/** `readSecret`: what requests to an API are signed with; asked for only where one is. Throws FilesUnavailable. */
export const openFiles = async (place: FilesPlace, readSecret: () => Promise<string>): Promise<FileStore> => {
  if (place.kind === 'folder') return openLocalFiles(place.folder);
  if (place.kind === 'api') return openHttpFiles({ url: place.url, secret: await readSecret() });
  // The SDK is large and slow to load: only those who keep their files there should pay for it.
  const { openS3Files } = await import('./s3-files.js');
  const bucket = parseS3Url(place.url);
  if (!bucket) throw new Error(`${place.url} is not s3://bucket/prefix`);
  return openS3Files(bucket);
};
