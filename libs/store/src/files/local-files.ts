import { randomUUID } from 'node:crypto';
import type { FileHandle } from 'node:fs/promises';
import { mkdir, open, readdir, rename, rmdir, stat, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import {
  FileMissing,
  type FileStore,
  FilesUnavailable,
  type PutOptions,
  requireObjectName,
  type Written,
} from './file-store.js';
import { createHashedWriter } from './hashed-writer.js';
import { listFolder } from './local-listing.js';
import { createCounter, readAbortable } from './metered-source.js';
import { toObjectStream } from './object-stream.js';

const INCOMING = '.incoming';
const LEFTOVER_MS = 24 * 3600_000;
const SWEEP_MS = 3600_000;
const MAX_RENAMES = 20;

const codeOf = (error: unknown): unknown => (error instanceof Error && 'code' in error ? error.code : undefined);

const toUnavailable = (cause: unknown): FilesUnavailable =>
  new FilesUnavailable(
    `The folder of files (BERTH_FILES) cannot be read or written: ${cause instanceof Error ? cause.message : cause}`,
    { cause },
  );

/** What the disk says, told apart from what a source throws, which may be of any disk. */
const onDisk = async <T>(work: Promise<T>): Promise<T> => {
  try {
    return await work;
  } catch (cause) {
    throw toUnavailable(cause);
  }
};

const NOT_THERE = new Set<unknown>(['ENOENT', 'ENOTDIR', 'EISDIR']);

const isMissing = (error: unknown): boolean => error instanceof FilesUnavailable && NOT_THERE.has(codeOf(error.cause));

/** A disk may take less than it was given. */
const writeAll = async (handle: FileHandle, bytes: Uint8Array): Promise<void> => {
  for (let done = 0; done < bytes.byteLength; ) done += (await handle.write(bytes, done)).bytesWritten;
};

const syncFolder = async (folder: string): Promise<void> => {
  const handle = await open(folder, 'r');
  await handle.sync().finally(() => handle.close());
};

/** From the folder in which `name` stands up to `root`. */
const toParents = (root: string, name: string): string[] => {
  const steps = name.split('/').slice(0, -1);
  return steps.map((_, i) => join(root, ...steps.slice(0, steps.length - i)));
};

/** Who removes the last object of a folder removes the folder, so it may be gone again between the two steps. */
const moveInto = async (root: string, from: string, name: string): Promise<void> => {
  const parents = toParents(root, name);
  for (let i = 1; ; i++) {
    const created = parents[0] && (await mkdir(parents[0], { recursive: true, mode: 0o700 }));
    try {
      await rename(from, join(root, name));
      for (const folder of created ? [...parents, root] : [parents[0] ?? root]) await syncFolder(folder);
      return;
    } catch (error) {
      if (codeOf(error) !== 'ENOENT' || i >= MAX_RENAMES) throw error;
    }
  }
};

const removeEmpty = async (folders: string[]): Promise<void> => {
  for (const folder of folders)
    if (
      !(await rmdir(folder).then(
        () => true,
        () => false,
      ))
    )
      return;
};

/** What writers that died have left behind; who still writes has written lately. */
const sweepIncoming = async (incoming: string, now: number): Promise<void> => {
  for (const name of await readdir(incoming)) {
    const path = join(incoming, name);
    const found = await stat(path).catch(() => undefined);
    if (found && now - found.mtimeMs > LEFTOVER_MS) await unlink(path).catch(() => undefined);
  }
};

const writeIncoming = async (
  path: string,
  source: AsyncIterable<Uint8Array>,
  options: PutOptions,
): Promise<Written> => {
  const counter = createCounter(options);
  const handle = await onDisk(open(path, 'wx', 0o600));
  const writer = createHashedWriter((bytes) => onDisk(writeAll(handle, bytes)));
  try {
    for await (const chunk of readAbortable(source, options.signal)) {
      counter.count(chunk);
      await writer.write(chunk);
    }
    const sha256 = await writer.end();
    await onDisk(handle.sync());
    return { bytes: counter.bytes(), sha256 };
  } finally {
    await writer.settle();
    await handle.close();
  }
};

const readRange = async (handle: FileHandle, name: string, start: number, end: number): Promise<Readable> => {
  const found = await onDisk(handle.stat());
  if (!found.isFile()) throw new FileMissing(name);
  const last = Math.min(end, found.size) - 1;
  if (last < start) {
    await handle.close();
    return Readable.from([]);
  }
  return toObjectStream(handle.createReadStream({ start, end: last, highWaterMark: 256 * 1024 }), toUnavailable);
};

/**
 * Objects as files of one folder, for one machine or for several over a network file system whose `rename` is atomic. What is written
 * comes into `.incoming` first, is brought to the disk and then moved to its name. Throws FilesUnavailable where the folder cannot be made.
 */
export const openLocalFiles = async (folder: string): Promise<FileStore> => {
  const incoming = join(folder, INCOMING);
  await onDisk(mkdir(incoming, { recursive: true, mode: 0o700 }));
  const sweep = () => sweepIncoming(incoming, Date.now()).catch(() => undefined);
  await sweep();
  const sweeping = setInterval(sweep, SWEEP_MS).unref();
  return {
    async put(name, source, options = {}) {
      requireObjectName(name);
      const path = join(incoming, randomUUID());
      try {
        const written = await writeIncoming(path, source, options);
        options.signal?.throwIfAborted();
        await onDisk(moveInto(folder, path, name));
        return written;
      } catch (error) {
        await unlink(path).catch(() => undefined);
        throw error;
      }
    },
    async read(name, { start, end = Number.POSITIVE_INFINITY } = { start: 0 }) {
      requireObjectName(name);
      const handle = await onDisk(open(join(folder, name), 'r')).catch((error) => {
        throw isMissing(error) ? new FileMissing(name) : error;
      });
      return readRange(handle, name, start, end).catch(async (error) => {
        await handle.close();
        throw error;
      });
    },
    async stat(name) {
      requireObjectName(name);
      const found = await onDisk(stat(join(folder, name))).catch((error) => {
        if (!isMissing(error)) throw error;
      });
      return found?.isFile() ? { name, bytes: found.size, changed_at: Math.floor(found.mtimeMs) } : undefined;
    },
    async remove(name) {
      requireObjectName(name);
      await onDisk(unlink(join(folder, name))).catch((error) => {
        if (!isMissing(error)) throw error;
      });
      await removeEmpty(toParents(folder, name));
    },
    list: (prefix) => listFolder(folder, prefix),
    async close() {
      clearInterval(sweeping);
    },
  };
};
