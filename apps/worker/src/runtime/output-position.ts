import type { OutputSink, OutputStream, StreamPosition } from './container-runtime.js';

/** So many last bytes of a stream are kept to find its place again. */
export const TAIL_BYTES = 1024;
const NEWLINE = 0x0a;

export type Positions = Record<OutputStream, StreamPosition>;

export const NOTHING_READ: Positions = {
  stdout: { bytes: 0, tail: Buffer.alloc(0) },
  stderr: { bytes: 0, tail: Buffer.alloc(0) },
};

const createCounter = (from: StreamPosition) => {
  const last = Buffer.alloc(TAIL_BYTES);
  let kept = from.tail.copy(last, 0, Math.max(0, from.tail.length - TAIL_BYTES));
  let bytes = from.bytes;
  return {
    count(chunk: Buffer): void {
      bytes += chunk.length;
      const added = chunk.length >= TAIL_BYTES ? chunk.subarray(chunk.length - TAIL_BYTES) : chunk;
      const stays = Math.min(kept, TAIL_BYTES - added.length);
      if (stays < kept) last.copyWithin(0, kept - stays, kept);
      added.copy(last, stays);
      kept = stays + added.length;
    },
    isEmpty: (): boolean => bytes === 0,
    position: (): StreamPosition => ({ bytes, tail: Buffer.from(last.subarray(0, kept)) }),
  };
};

export type CountedOutput = ReturnType<typeof createCountedOutput>;

/** Hands on to `sink`, and knows at any time how far each stream has come. */
export const createCountedOutput = (sink: OutputSink, from: Positions = NOTHING_READ) => {
  const counters = { stdout: createCounter(from.stdout), stderr: createCounter(from.stderr) };
  const counted: OutputSink = (stream, chunk) => {
    counters[stream].count(chunk);
    sink(stream, chunk);
  };
  return {
    sink: counted,
    isEmpty: (): boolean => counters.stdout.isEmpty() && counters.stderr.isEmpty(),
    positions: (): Positions => ({ stdout: counters.stdout.position(), stderr: counters.stderr.position() }),
  };
};

export interface Skip {
  sink: OutputSink;
  /** Call it at the end of all output. `owesNewline`: whether a newline may stand at the stream's end that the engine did not keep. */
  finish(owesNewline: (stream: OutputStream) => boolean): void;
}

/**
 * Leaves out what a reader from the beginning has in common with what was handed on already. The last of the skipped bytes must be
 * those that are known: where they are not, the beginning was thrown away or something in the middle was lost, and `onGap` is
 * called. It goes on at the same count then. What was lost only moves bytes to the front, so what stands behind the
 * count is new in any case: nothing is ever handed on twice.
 */
export const createSkip = (from: Positions, sink: OutputSink, onGap: () => void): Skip => {
  const left: Record<OutputStream, number> = { stdout: from.stdout.bytes, stderr: from.stderr.bytes };
  const skip = (stream: OutputStream, chunk: Buffer): void => {
    const { tail } = from[stream];
    const before = left[stream] - tail.length;
    const known = chunk.subarray(Math.max(0, before));
    const at = Math.max(0, -before);
    if (known.length > 0 && !known.equals(tail.subarray(at, at + known.length))) onGap();
    left[stream] -= chunk.length;
  };
  const misses = (stream: OutputStream, owes: boolean): boolean =>
    left[stream] > (owes && from[stream].tail.at(-1) === NEWLINE ? 1 : 0);
  return {
    sink: (stream, chunk) => {
      const skipped = Math.min(left[stream], chunk.length);
      if (skipped > 0) skip(stream, chunk.subarray(0, skipped));
      if (skipped < chunk.length) sink(stream, chunk.subarray(skipped));
    },
    finish: (owesNewline) => {
      if ((['stdout', 'stderr'] as const).some((stream) => misses(stream, owesNewline(stream)))) onGap();
    },
  };
};
