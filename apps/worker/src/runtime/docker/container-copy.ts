import { Readable } from 'node:stream';
import { WORKSPACE } from '@berth/domain';
import type Docker from 'dockerode';
import { TAR_END, type TarEntry, toTarHeader } from '../../files/tar-header.js';
import { RuntimeFault } from '../container-runtime.js';
import { readFileKind } from './container-files.js';
import { STRICT_UID } from './container-options.js';
import { callWithin, DEADLINES } from './engine-calls.js';
import { toEngineText, toReadFault, toStatusCode } from './faults.js';

/** An engine that takes or gives nothing for so long has stalled. How long the whole takes is the files' business. */
const STALL_MS = 60_000;
const CHUNK_BYTES = 256 * 1024;
const TAR_MAGIC = 'ustar';
const MAGIC_AT = 257;

/** Ends a copy that does not get on. It is armed while the engine has to do something, and not while whoever is at the other end has. */
const createStallWatch = (limit_ms: number, outer: AbortSignal | undefined) => {
  const controller = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  let fail: (reason: unknown) => void = () => undefined;
  const broken = new Promise<never>((_, reject) => {
    fail = reject;
  });
  broken.catch(() => undefined);
  const stop = (reason: unknown) => {
    fail(reason);
    controller.abort();
  };
  const onAbort = () => stop(new RuntimeFault('engine_unavailable', 'The copy was broken off', { retryable: true }));
  outer?.addEventListener('abort', onAbort);
  if (outer?.aborted) onAbort();
  const idle = () => clearTimeout(timer);
  return {
    signal: controller.signal,
    /** Rejects when it has stalled, or was broken off. */
    broken,
    busy() {
      idle();
      const stalled = `The engine has not gone on with a copy for ${limit_ms} ms`;
      timer = setTimeout(() => stop(new RuntimeFault('engine_unavailable', stalled, { retryable: true })), limit_ms);
    },
    idle,
    close() {
      idle();
      outer?.removeEventListener('abort', onAbort);
      controller.abort();
    },
  };
};
type StallWatch = ReturnType<typeof createStallWatch>;

/**
 * Some engines unpack what is compressed with programs that they find in the container, as root of the machine (CVE-2026-41567). So nothing
 * but a plain tar ever goes to one, and what is not begins otherwise: that is a bug of ours.
 */
const requirePlainTar = (head: Uint8Array): void => {
  const block = Buffer.from(head.subarray(0, 512));
  if (block.toString('latin1', MAGIC_AT, MAGIC_AT + TAR_MAGIC.length) === TAR_MAGIC) return;
  if (block.length === 512 && block.every((byte) => byte === 0)) return;
  throw new TypeError('only an uncompressed tar is copied into a container');
};

const requirePlain = async function* (tar: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let first = true;
  for await (const chunk of tar) {
    if (first) requirePlainTar(chunk);
    first = false;
    yield chunk;
  }
};

const meter = async function* (tar: AsyncIterable<Uint8Array>, watch: StallWatch, onError: (error: unknown) => void) {
  watch.idle();
  try {
    for await (const chunk of tar) {
      watch.busy();
      yield chunk;
      watch.idle();
    }
    watch.busy();
  } catch (error) {
    onError(error);
    throw error;
  }
};

const put = async (
  container: Docker.Container,
  tar: AsyncIterable<Uint8Array>,
  { path, signal, stall_ms }: { path: string; signal: AbortSignal | undefined; stall_ms: number },
): Promise<void> => {
  const watch = createStallWatch(stall_ms, signal);
  let failure: { error: unknown } | undefined;
  const metered = meter(tar, watch, (error) => {
    failure = { error };
  });
  const source = Readable.from(metered, { objectMode: false, highWaterMark: CHUNK_BYTES });
  source.on('error', () => undefined);
  try {
    watch.busy();
    const sent = container.putArchive(source, { path, abortSignal: watch.signal } as never);
    sent.catch(() => undefined);
    await Promise.race([sent, watch.broken]);
  } catch (error) {
    throw failure === undefined ? toReadFault(error) : failure.error;
  } finally {
    watch.close();
    source.destroy();
  }
};

const FOLDER = WORKSPACE.slice(1);

/** An engine passes over the entry `.`, and takes this other name of the folder that it copies into. */
const withOwner = async function* (owner: TarEntry, tar: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  yield toTarHeader(owner);
  yield* tar;
};

const folderAlone = async function* (folder: TarEntry): AsyncGenerator<Uint8Array> {
  yield Buffer.concat([toTarHeader(folder), TAR_END]);
};

/**
 * The folder is its user's first of all. Where the root may not be written it is a volume, and there; elsewhere an engine makes it as the working
 * directory, or it is made here, as an image need not have it.
 */
export const copyIn = async (
  container: Docker.Container,
  tar: AsyncIterable<Uint8Array>,
  { signal, stall_ms = STALL_MS }: { signal?: AbortSignal | undefined; stall_ms?: number } = {},
): Promise<void> => {
  const { HostConfig, Config } = await inspect(container);
  const strict = HostConfig.ReadonlyRootfs === true;
  const folder = strict
    ? { name: `../${FOLDER}/`, bytes: 0, mode: 0o755, owner: STRICT_UID }
    : { name: `../${FOLDER}/`, bytes: 0, mode: 0o777, owner: 0 };
  if (!strict && !`${Config.WorkingDir}/`.startsWith(`${WORKSPACE}/`)) {
    await put(container, folderAlone({ ...folder, name: `${FOLDER}/` }), { path: '/', signal, stall_ms });
  }
  await put(container, withOwner(folder, requirePlain(tar)), { path: WORKSPACE, signal, stall_ms });
};

const inspect = (container: Docker.Container): Promise<Docker.ContainerInspectInfo> =>
  callWithin(DEADLINES.read, (abortSignal) => container.inspect({ abortSignal })).catch((error: unknown) => {
    throw toReadFault(error);
  });

/**
 * 404 says of the path as well as of the container that it is not there. What a job can do to a path (a link that leads to itself, a file for a folder) an engine
 * answers with 500, as it does where it is itself in trouble. Then it is asked for the root, which is no job's to change and stands on the same disk.
 */
const openArchive = async (container: Docker.Container, path: string, watch: StallWatch) => {
  const opened = container.getArchive({ path, abortSignal: watch.signal } as never);
  opened.catch(() => undefined);
  try {
    return (await Promise.race([opened, watch.broken])) as Readable;
  } catch (error) {
    const status = toStatusCode(error);
    if (status === undefined) throw toReadFault(error);
    if (status === 404) {
      await inspect(container);
      return undefined;
    }
    await requireReadable(container);
    throw new RuntimeFault('path_refused', `The container engine does not read it: ${toEngineText(error)}`);
  }
};

const requireReadable = async (container: Docker.Container): Promise<void> => {
  try {
    if ((await readFileKind(container, '/')) === 'directory') return;
  } catch (error) {
    throw toReadFault(error);
  }
  await inspect(container);
  throw new RuntimeFault('engine_unavailable', 'The container engine shows no files of the container', {
    retryable: true,
  });
};

export const copyOut = async function* (
  container: Docker.Container,
  path: string,
  { signal, stall_ms = STALL_MS }: { signal?: AbortSignal | undefined; stall_ms?: number } = {},
): AsyncGenerator<Buffer> {
  const watch = createStallWatch(stall_ms, signal);
  let archive: Readable | undefined;
  try {
    watch.busy();
    archive = await openArchive(container, path === '' ? WORKSPACE : `${WORKSPACE}/${path}`, watch);
    if (archive === undefined) return;
    // Once, and not a race for each chunk: a promise that stays pending keeps all that it has been raced with.
    const opened = archive;
    watch.broken.catch((fault) => opened.destroy(fault));
    for await (const chunk of opened) {
      watch.idle();
      yield chunk as Buffer;
      watch.busy();
    }
  } catch (error) {
    throw toReadFault(error);
  } finally {
    watch.close();
    archive?.on('error', () => undefined).destroy();
  }
};
