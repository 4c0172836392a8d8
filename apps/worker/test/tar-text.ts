import { readTar } from '../src/runtime/fake-files.js';

/** What is in a tar, as text by name; folders are `''`. */
export const extractAll = async (tar: AsyncIterable<Uint8Array>): Promise<Record<string, string>> => {
  const files = [...(await readTar(tar))];
  return Object.fromEntries(files.map(([name, { bytes }]) => [name, bytes.toString()]));
};
