import { fromBufferPromise } from 'yauzl';

/** What a zip holds, by name. Throws where it is none, or not whole. */
export const readZip = async (bytes: Buffer): Promise<Record<string, Buffer>> => {
  const zip = await fromBufferPromise(bytes);
  const found: Record<string, Buffer> = {};
  for await (const entry of zip.eachEntry()) {
    const chunks: Buffer[] = [];
    for await (const chunk of await zip.openReadStreamPromise(entry)) chunks.push(chunk as Buffer);
    found[entry.fileName] = Buffer.concat(chunks);
  }
  return found;
};
