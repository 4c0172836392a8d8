import type { OutputSink, OutputStream } from '../container-runtime.js';
import { createDemuxer } from './demuxer.js';

/** The engine cuts longer lines into parts of this size. */
const PART_BYTES = 16 * 1024;
/** What the engine writes beside a line and a part of one: at most so much, seen with the `local` driver. */
const LINE_OVERHEAD = 28;
const PART_OVERHEAD = 128;
const NEWLINE = Buffer.from('\n');

interface FrameState {
  /** Of the present frame. */
  length: number;
  left: number;
  /** The line before the present place is long, and has been cut. */
  in_long_line: boolean;
  owes_newline: boolean;
}

export interface LogDecoder {
  push(chunk: Buffer): void;
  /** How much room the output so far takes in the engine’s log, in bytes: never too little. */
  readonly stored_bytes: number;
  /** Whether the last byte of the stream may be a newline that the engine did not keep. */
  owesNewline(stream: OutputStream): boolean;
}

/**
 * Output as the engine's log gives it back: one frame a message, and a message is a line or a part of a long one. The `local` driver
 * of every engine that we know drops the newline at the end of a line that was cut into parts. It is put back when the next line
 * of the same stream begins. Behind the very last one nothing tells whether there was a newline, and none is made up.
 */
export const createLogDecoder = (sink: OutputSink): LogDecoder => {
  const frames: Record<OutputStream, FrameState> = { stdout: createFrame(), stderr: createFrame() };
  let stored_bytes = 0;

  const endFrame = (frame: FrameState, last: number | undefined): void => {
    const whole = last === NEWLINE[0];
    stored_bytes += frame.length + (whole ? LINE_OVERHEAD : PART_OVERHEAD);
    frame.owes_newline = !whole && frame.in_long_line && frame.length !== PART_BYTES;
    frame.in_long_line = !whole && frame.length === PART_BYTES;
  };
  const beginFrame = (stream: OutputStream, length: number): void => {
    const frame = frames[stream];
    if (frame.owes_newline) sink(stream, NEWLINE);
    frame.owes_newline = false;
    frame.length = length;
    frame.left = length;
    if (length === 0) endFrame(frame, undefined);
  };
  const take: OutputSink = (stream, chunk) => {
    const frame = frames[stream];
    frame.left -= chunk.length;
    sink(stream, chunk);
    if (frame.left === 0) endFrame(frame, chunk.at(-1));
  };

  const demuxer = createDemuxer(take, beginFrame);
  return {
    push: demuxer.push,
    get stored_bytes() {
      return stored_bytes;
    },
    owesNewline: (stream) => frames[stream].owes_newline,
  };
};

const createFrame = (): FrameState => ({ length: 0, left: 0, in_long_line: false, owes_newline: false });
