import { Readable } from 'node:stream';
import { FileMissing, type FileStore, FilesUnavailable } from '@berth/store';

/** A file store in memory that can be taken away, and whose next `put` can be watched. */
export const createMemoryFiles = () => {
  const objects = new Map<string, Buffer>();
  const state = { away: false, reads: 0 };
  let afterPut = async (): Promise<void> => {};
  const check = (): void => {
    if (state.away) throw new FilesUnavailable('away');
  };
  const files: FileStore = {
    async put(name, source) {
      check();
      const chunks: Uint8Array[] = [];
      for await (const chunk of source) chunks.push(chunk);
      const bytes = Buffer.concat(chunks);
      objects.set(name, bytes);
      await afterPut();
      return { bytes: bytes.length, sha256: '' };
    },
    async read(name) {
      check();
      state.reads += 1;
      const bytes = objects.get(name);
      if (!bytes) throw new FileMissing(name);
      return Readable.from([bytes]);
    },
    async stat(name) {
      const bytes = objects.get(name);
      return bytes && { name, bytes: bytes.length, changed_at: 0 };
    },
    async remove(name) {
      objects.delete(name);
    },
    async *list(prefix) {
      for (const [name, bytes] of objects)
        if (name.startsWith(prefix)) yield { name, bytes: bytes.length, changed_at: 0 };
    },
    async close() {},
  };
  return {
    files,
    objects,
    state,
    /** Does something between a `put` and what its caller does next. */
    onPut(work: () => Promise<void>): void {
      afterPut = work;
    },
  };
};
