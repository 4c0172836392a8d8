import { extract, pack } from 'tar-stream';

interface FakeFile {
  bytes: Buffer;
  mode: number;
  uid: number;
}

/** What stands in the /workspace of a fake container. */
export interface FakeFiles {
  /** By path. Folders have a slash at their end. */
  readonly all: Map<string, FakeFile>;
  write(path: string, text: string): void;
  copyIn(tar: AsyncIterable<Uint8Array>): Promise<void>;
  copyOut(path: string): AsyncIterable<Buffer>;
}

/** What is in a tar, by name. */
export const readTar = async (tar: AsyncIterable<Uint8Array>): Promise<Map<string, FakeFile>> => {
  const all = new Map<string, FakeFile>();
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
  for await (const entry of entries) {
    const { name, mode = 0, uid = 0 } = entry.header;
    const chunks: Buffer[] = [];
    for await (const chunk of entry) chunks.push(chunk as Buffer);
    all.set(name, { bytes: Buffer.concat(chunks), mode, uid });
  }
  await fed;
  return all;
};

/** Names begin with the last part of the path, as the port has it. */
const toName = (path: string, name: string): string | undefined => {
  if (path === '') return `workspace/${name.replace(/^\.\//, '')}`;
  const last = path.slice(path.lastIndexOf('/') + 1);
  if (name === path) return last;
  return name.startsWith(`${path}/`) ? `${last}/${name.slice(path.length + 1)}` : undefined;
};

export const createFakeFiles = (): FakeFiles => {
  const all = new Map<string, FakeFile>();
  return {
    all,
    write: (path, text) => void all.set(path, { bytes: Buffer.from(text), mode: 0o644, uid: 0 }),
    async copyIn(tar) {
      for (const [name, file] of await readTar(tar)) all.set(name, file);
    },
    async *copyOut(path) {
      const tar = pack();
      for (const [at, { bytes, mode, uid }] of all) {
        const name = toName(path, at);
        if (name === undefined) continue;
        const folder = name.endsWith('/');
        if (folder) tar.entry({ name, mode, uid, type: 'directory' });
        else tar.entry({ name, mode, uid }, bytes);
      }
      tar.finalize();
      for await (const chunk of tar) yield chunk as Buffer;
    },
  };
};
