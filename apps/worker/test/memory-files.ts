import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { FileMissing, type FileStore, type Upload } from '@berth/store';

/** A file store in memory, and the uploads in it. Parts may be put in place of its own. */
export const createMemoryFiles = (overrides: Partial<FileStore> = {}) => {
  const objects = new Map<string, Buffer>();
  const known = new Map<string, Upload>();
  const files: FileStore = {
    async put(name, source) {
      const chunks: Uint8Array[] = [];
      for await (const chunk of source) chunks.push(Buffer.from(chunk));
      const whole = Buffer.concat(chunks);
      objects.set(name, whole);
      return { bytes: whole.length, sha256: createHash('sha256').update(whole).digest('hex') };
    },
    async read(name, range) {
      const found = objects.get(name);
      if (found === undefined) throw new FileMissing(name);
      const bytes = found.subarray(range?.start ?? 0, range?.end ?? found.length);
      return Readable.from([bytes], { objectMode: false });
    },
    async stat(name) {
      const found = objects.get(name);
      return found && { name, bytes: found.length, changed_at: 0 };
    },
    async remove(name) {
      objects.delete(name);
    },
    async *list() {},
    async close() {},
    ...overrides,
  };
  return {
    files,
    objects,
    /** Of the user `local`; returns its file_id. */
    upload(bytes: Buffer | string): string {
      const whole = Buffer.from(bytes);
      const file_id = createHash('sha256').update(whole).digest('hex');
      const object = `uploads/${file_id}`;
      objects.set(object, whole);
      const times = { created_at: 0, used_at: 0, removing: null };
      known.set(file_id, { user: 'local', file_id, object, bytes: whole.length, name: null, ...times });
      return file_id;
    },
    uploads: { read: async (_user: string, file_id: string) => known.get(file_id) ?? null },
  };
};
