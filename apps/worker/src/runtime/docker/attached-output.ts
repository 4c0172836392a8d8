import type { Duplex } from 'node:stream';
import type Docker from 'dockerode';
import type { OutputSink } from '../container-runtime.js';
import { createDemuxer } from './demuxer.js';
import { callWithin, DEADLINES } from './engine-calls.js';
import { toReadFault } from './faults.js';

export interface AttachedOutput {
  /** Resolves at the output's end, or once `quiet_ms` have passed without a byte: a stray child may hold the pipe. */
  drained(quiet_ms: number): Promise<void>;
  close(): void;
}

/**
 * Attaches to a container that has not started. The reader takes whatever comes at once and never pauses: the engine would pass
 * a pause on to the job's own writes. That the stream ends proves nothing about the container.
 */
export const attachOutput = async (container: Docker.Container, sink: OutputSink): Promise<AttachedOutput> => {
  const stream = await callWithin(DEADLINES.read, (abortSignal) => attach(container, abortSignal)).catch(
    (error: unknown) => {
      throw toReadFault(error);
    },
  );
  const demuxer = createDemuxer(sink);
  let last_byte = 0;
  stream.on('data', (chunk: Buffer) => {
    last_byte = performance.now();
    demuxer.push(chunk);
  });
  const over = new Promise<void>((resolve) => {
    stream.once('end', () => resolve());
    stream.once('close', () => resolve());
    stream.on('error', () => resolve());
  });
  return {
    drained: (quiet_ms) => untilQuiet(over, quiet_ms, () => last_byte),
    close: () => {
      stream.destroy();
    },
  };
};

/** `_query` and an empty `_body`: a body would be taken for input. */
const attach = async (container: Docker.Container, abortSignal: AbortSignal): Promise<Duplex> => {
  const options = { hijack: true, _query: { stream: true, stdout: true, stderr: true }, _body: {}, abortSignal };
  return (await container.attach(options as Docker.ContainerAttachOptions)) as unknown as Duplex;
};

const untilQuiet = async (over: Promise<void>, quiet_ms: number, lastByte: () => number): Promise<void> => {
  const begun = performance.now();
  let timer: NodeJS.Timeout | undefined;
  const quiet = new Promise<void>((resolve) => {
    const check = () => {
      const left = Math.max(begun, lastByte()) + quiet_ms - performance.now();
      if (left <= 0) resolve();
      else timer = setTimeout(check, left);
    };
    check();
  });
  await Promise.race([over, quiet]);
  clearTimeout(timer);
};
