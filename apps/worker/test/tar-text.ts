import { extract } from 'tar-stream';

/** What is in a tar, as text by name; folders are `''`. */
export const extractAll = async (tar: AsyncIterable<Uint8Array>): Promise<Record<string, string>> => {
  const entries = extract();
  const fed = (async () => {
    try {
      for await (const chunk of tar) entries.write(chunk);
      entries.end(undefined);
    } catch (error) {
      entries.destroy(error as Error);
      throw error;
    }
  })();
  fed.catch(() => undefined);
  const found: Record<string, string> = {};
  for await (const entry of entries) {
    const chunks: Buffer[] = [];
    for await (const chunk of entry) chunks.push(chunk as Buffer);
    found[entry.header.name] = Buffer.concat(chunks).toString();
  }
  await fed;
  return found;
};
