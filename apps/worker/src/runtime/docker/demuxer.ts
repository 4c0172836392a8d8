import type { OutputSink, OutputStream } from '../container-runtime.js';

const HEADER_BYTES = 8;
/** The engine's frame types. 0 is stdin, which is echoed by no one; 3 is a message of the engine itself. */
const STREAMS: (OutputStream | null)[] = [null, 'stdout', 'stderr', null];

export interface Demuxer {
  push(chunk: Buffer): void;
  /** True once the bytes were no frames: everything after that is dropped. */
  readonly broken: boolean;
}

/**
 * Splits the engine's multiplexed output: frames of an 8-byte header (type, three zeros, length big-endian) and a
 * payload. A payload is handed on in the pieces it arrives in, as views of the chunk, so that a frame of any size costs
 * no memory, and a chunk of any number of frames no stack. `onFrame` is told of each frame before its payload.
 */
export const createDemuxer = (sink: OutputSink, onFrame?: (stream: OutputStream, length: number) => void): Demuxer => {
  const header = Buffer.alloc(HEADER_BYTES);
  let filled = 0;
  let left = 0;
  let stream: OutputStream | null = null;
  let broken = false;

  const readHeader = (chunk: Buffer, at: number): number => {
    const taken = Math.min(HEADER_BYTES - filled, chunk.length - at);
    chunk.copy(header, filled, at, at + taken);
    filled += taken;
    if (filled < HEADER_BYTES) return taken;
    filled = 0;
    const type = header.readUInt8(0);
    broken = type >= STREAMS.length || header.readUIntBE(1, 3) !== 0;
    stream = STREAMS[type] ?? null;
    left = header.readUInt32BE(4);
    if (stream !== null && !broken) onFrame?.(stream, left);
    return taken;
  };

  const readPayload = (chunk: Buffer, at: number): number => {
    const taken = Math.min(left, chunk.length - at);
    if (stream !== null) sink(stream, chunk.subarray(at, at + taken));
    left -= taken;
    return taken;
  };

  return {
    push: (chunk) => {
      let at = 0;
      while (at < chunk.length && !broken) at += left > 0 ? readPayload(chunk, at) : readHeader(chunk, at);
    },
    get broken() {
      return broken;
    },
  };
};
