import { StringDecoder } from 'node:string_decoder';
import type { OutputStream } from './runtime/container-runtime.js';

/** Clients keep no more than so many lines of a job, so older ones that were not taken yet are dropped. */
const KEPT_LINES = 1_000;
/** A line that is longer comes in parts: it has to be held until it ends. */
const LONGEST_LINE = 256 * 1024;

type Stored = Record<OutputStream, { tail: Buffer }>;

/** The beginning of a line whose end another worker has not seen. */
const toBegun = (tail: Buffer): string => tail.subarray(tail.lastIndexOf(0x0a) + 1).toString();

/**
 * Splits output into whole lines for clients of the workload runner's format: `[time] text`, oldest first. Behind what is stored
 * already it goes on with the line that had begun there.
 */
export const createWorkloadLines = (stored?: Stored) => {
  const decoders = { stdout: new StringDecoder('utf8'), stderr: new StringDecoder('utf8') };
  /** Joined only at the line's end: a line of megabytes arrives in many pieces. */
  const unfinished: Record<OutputStream, string[]> = { stdout: [], stderr: [] };
  const lengths = { stdout: 0, stderr: 0 };
  let whole: string[] = [];
  const toLine = (text: string): string => `[${new Date().toISOString()}] ${text}`;
  const endLine = (stream: OutputStream, end: string): string => {
    const line = unfinished[stream].join('') + end;
    unfinished[stream] = [];
    lengths[stream] = 0;
    return line;
  };
  const begin = (stream: OutputStream, text: string): void => {
    if (text === '') return;
    unfinished[stream].push(text);
    lengths[stream] += text.length;
    if (lengths[stream] > LONGEST_LINE) whole.push(toLine(endLine(stream, '')));
  };
  for (const stream of ['stdout', 'stderr'] as const) {
    const begun = stored ? toBegun(stored[stream].tail) : '';
    begin(stream, begun);
  }
  return {
    push(stream: OutputStream, bytes: Buffer): void {
      const [first = '', ...more] = decoders[stream].write(bytes).split('\n');
      const last = more.pop();
      if (last === undefined) {
        begin(stream, first);
        return;
      }
      const lines = [endLine(stream, first), ...more.slice(-KEPT_LINES)];
      whole.push(...lines.map(toLine));
      begin(stream, last);
      if (whole.length > 2 * KEPT_LINES) whole = whole.slice(-KEPT_LINES);
    },
    /** Takes what is left without an end of line as a line. */
    end(): void {
      for (const stream of ['stdout', 'stderr'] as const) {
        const line = endLine(stream, decoders[stream].end());
        if (line !== '') whole.push(toLine(line));
      }
    },
    take(): string[] {
      const taken = whole.slice(-KEPT_LINES);
      whole = [];
      return taken;
    },
  };
};
