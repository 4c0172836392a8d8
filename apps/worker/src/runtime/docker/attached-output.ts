import { setTimeout as delay } from 'node:timers/promises';
import type Docker from 'dockerode';
import type { OutputSink } from '../container-runtime.js';
import { createCountedOutput } from '../output-position.js';
import { createDemuxer } from './demuxer.js';
import { createFollower } from './followed-output.js';
import { openAttach, type ReadOutput, readToEnd, untilQuiet } from './output-stream.js';

/** The end of the output and that of the container come close together. Where they do not, the stream has broken. */
const TOGETHER_MS = 1_000;

export interface AttachOptions {
  sink: OutputSink;
  onGap: () => void;
  /** Whether the engine may have been away since the container was started. */
  wasEngineAway: () => boolean;
}

/**
 * Attaches to a container that has not started. The reader takes whatever comes at once and never pauses: the engine would pass
 * a pause on to the job's own writes. That the stream ends proves nothing about the container: where it ends before the
 * container does, or the engine may have been away, the rest is read from the engine's log.
 */
export const attachOutput = async (container: Docker.Container, options: AttachOptions): Promise<ReadOutput> => {
  const stream = await openAttach(container);
  const output = createCountedOutput(options.sink);
  const demuxer = createDemuxer(output.sink);
  const follower = createFollower(container, output, options.onGap);
  const ending = new AbortController();
  let closed = false;
  let last_byte = 0;
  const reading = readToEnd(stream, (chunk) => {
    last_byte = performance.now();
    demuxer.push(chunk);
  });
  const checked = reading.then(async (in_order) => {
    await delay(TOGETHER_MS, undefined, { signal: ending.signal }).catch(() => undefined);
    const whole = ending.signal.aborted && in_order && !options.wasEngineAway();
    if (!whole && !closed) follower.begin();
  });
  return {
    drained: async (quiet_ms) => {
      ending.abort();
      if ((await untilQuiet(checked, quiet_ms, () => last_byte)) === 'over') await follower.drained(quiet_ms);
    },
    close: () => {
      closed = true;
      ending.abort();
      stream.destroy();
      follower.close();
    },
  };
};
