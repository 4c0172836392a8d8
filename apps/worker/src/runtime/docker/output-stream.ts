import type { Readable } from 'node:stream';
import type Docker from 'dockerode';
import { callWithin, DEADLINES } from './engine-calls.js';
import { toReadFault } from './faults.js';

/** Output that is being read. */
export interface ReadOutput {
  /** Call it after the container's end. Resolves when all output was handed on, or once `quiet_ms` have passed without a byte. */
  drained(quiet_ms: number): Promise<void>;
  close(): void;
}

/**
 * What the container writes from now on, as it writes it. `_query` and an empty `_body`: a body would be taken for input.
 * Faults: `not_found`, `engine_unavailable`.
 */
export const openAttach = (container: Docker.Container): Promise<Readable> =>
  callWithin(DEADLINES.read, async (abortSignal) => {
    const options = { hijack: true, _query: { stream: true, stdout: true, stderr: true }, _body: {}, abortSignal };
    return (await container.attach(options as Docker.ContainerAttachOptions)) as unknown as Readable;
  }).catch((error: unknown) => {
    throw toReadFault(error);
  });

/** What the engine has kept, and what comes after it while the container runs. Faults: `not_found`, `engine_unavailable`. */
export const openLog = (container: Docker.Container): Promise<Readable> =>
  callWithin(DEADLINES.read, async (abortSignal) => {
    const options = { follow: true, stdout: true, stderr: true, abortSignal } as const;
    return (await container.logs(options)) as unknown as Readable;
  }).catch((error: unknown) => {
    throw toReadFault(error);
  });

/** What the engine has kept until now. dockerode would gather all of it in memory. Faults: `not_found`, `engine_unavailable`. */
export const openKept = (container: Docker.Container): Promise<Readable> =>
  callWithin(DEADLINES.read, (abortSignal) => {
    const path = `/containers/${container.id}/logs?`;
    const options = { stdout: true, stderr: true };
    const request = { path, method: 'GET', isStream: true, statusCodes: { 200: true }, options, abortSignal };
    return new Promise<Readable>((resolve, reject) => {
      container.modem.dial(request, (error: unknown, stream: unknown) =>
        error ? reject(error) : resolve(stream as Readable),
      );
    });
  }).catch((error: unknown) => {
    throw toReadFault(error);
  });

/** Reads a stream to its end. True where it ended in order; a broken engine can do that, too. */
export const readToEnd = (stream: Readable, take: (chunk: Buffer) => void): Promise<boolean> =>
  new Promise((resolve) => {
    let failed = false;
    stream.on('data', take);
    stream.on('error', () => {
      failed = true;
      resolve(false);
    });
    stream.once('aborted', () => resolve(false));
    stream.once('end', () => resolve(!failed));
    stream.once('close', () => resolve(false));
  });

/**
 * Says which came first: the output's end, or so long a time without a byte. Where this process stood still for that time, what came
 * meanwhile is read first.
 */
export const untilQuiet = async (
  over: Promise<unknown>,
  quiet_ms: number,
  lastByte: () => number,
): Promise<'over' | 'quiet'> => {
  const begun = performance.now();
  let timer: NodeJS.Timeout | undefined;
  const quiet = new Promise<'quiet'>((resolve) => {
    const toLeft = () => Math.max(begun, lastByte()) + quiet_ms - performance.now();
    const wait = () => {
      timer = setTimeout(() => setImmediate(check), toLeft());
    };
    const check = () => (toLeft() <= 0 ? resolve('quiet') : wait());
    wait();
  });
  const first = await Promise.race([over.then(() => 'over' as const), quiet]);
  clearTimeout(timer);
  return first;
};
