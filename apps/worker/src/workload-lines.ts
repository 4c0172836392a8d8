import { StringDecoder } from 'node:string_decoder';
import type { OutputStream } from './runtime/container-runtime.js';

/** Splits output into whole lines for clients of the workload runner's format: `[time] text`, oldest first. */
export const createWorkloadLines = () => {
  const decoders = { stdout: new StringDecoder('utf8'), stderr: new StringDecoder('utf8') };
  const rest: Record<OutputStream, string> = { stdout: '', stderr: '' };
  let whole: string[] = [];
  const add = (text: string): void => void whole.push(`[${new Date().toISOString()}] ${text}`);
  return {
    push(stream: OutputStream, bytes: Buffer): void {
      const parts = (rest[stream] + decoders[stream].write(bytes)).split('\n');
      rest[stream] = parts.pop() ?? '';
      for (const part of parts) add(part);
    },
    /** Takes what is left without an end of line as a line. */
    end(): void {
      for (const stream of ['stdout', 'stderr'] as const) if (rest[stream] !== '') add(rest[stream]);
    },
    take(): string[] {
      const taken = whole;
      whole = [];
      return taken;
    },
  };
};
