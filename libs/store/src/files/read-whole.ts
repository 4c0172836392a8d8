import type { ByteRange, FileStore } from './file-store.js';

/** For what is small. Rejects as `read` does, and where the stream breaks off. */
export const readWhole = async (files: Pick<FileStore, 'read'>, name: string, range?: ByteRange): Promise<Buffer> => {
  const chunks: Uint8Array[] = [];
  for await (const chunk of await files.read(name, range)) chunks.push(chunk as Uint8Array);
  return Buffer.concat(chunks);
};
