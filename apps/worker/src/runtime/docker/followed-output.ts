import type { Readable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import type Docker from 'dockerode';
import type { OutputPosition, OutputSink } from '../container-runtime.js';
import { type CountedOutput, createCountedOutput, createSkip } from '../output-position.js';
import { KEPT_LOG_BYTES } from './container-options.js';
import { createDemuxer } from './demuxer.js';
import { callWithin, DEADLINES } from './engine-calls.js';
import { createLogDecoder } from './engine-log.js';
import { toReadFault, toStatusCode } from './faults.js';
import { openAttach, openKept, openLog, type ReadOutput, readToEnd, untilQuiet } from './output-stream.js';

const RETRY_MS = 250;
/** After the end: so often is a reading that has fallen silent begun again. */
const FINAL_TRIES = 5;
/** Once the engine has begun a new file, a reader that follows may be given lines twice or never. So it is left before that. */
const TRUSTED_BYTES = KEPT_LOG_BYTES - 1_000_000;

type Seen = 'running' | 'ended' | 'gone' | 'unknown';

const look = (container: Docker.Container): Promise<Seen> =>
  callWithin(DEADLINES.read, (abortSignal) => container.inspect({ abortSignal })).then(
    ({ State }) => (State.Running ? 'running' : 'ended'),
    (error: unknown) => (toStatusCode(error) === 404 ? 'gone' : 'unknown'),
  );

/**
 * Reads a container's output from the engine's own log, behind what was handed on already. Faults: `not_found`,
 * `engine_unavailable`.
 */
export const followOutput = async (
  container: Docker.Container,
  sink: OutputSink,
  from: OutputPosition,
): Promise<ReadOutput> => {
  await callWithin(DEADLINES.read, (abortSignal) => container.inspect({ abortSignal })).catch((error: unknown) => {
    throw toReadFault(error);
  });
  const follower = createFollower(container, createCountedOutput(sink, from), from.onGap);
  follower.begin();
  return follower;
};

/**
 * The log is read again and again, each time from its beginning and with what was handed on before left out, until one reading began
 * after the container's end and came to its own: engines are known to end a reading too early, or to lose a connection.
 *
 * An engine that writes on while its oldest file is thrown away gives a follower lines twice or leaves some out, and nothing
 * tells. So where the log has grown that large and the container still runs, that is said as a gap, and the rest is read as
 * it is written.
 */
export const createFollower = (container: Docker.Container, output: CountedOutput, onGap: () => void) => {
  const source = createSource();
  const gap = once(onGap);
  const readings = createReadings(source, output, gap);
  let checked = false;

  /** Where nothing was handed on that could be compared, only the size tells whether the beginning is there still. */
  const checkBeginning = async (): Promise<void> => {
    if (!checked && output.isEmpty() && (await readings.measure(await openKept(container))) > TRUSTED_BYTES) gap();
    checked = true;
  };
  /** True once nothing more can come. */
  const readOnce = async (seen: Seen): Promise<boolean> => {
    if (seen === 'unknown') return false;
    if (seen === 'gone') return true;
    await checkBeginning();
    if (seen === 'ended') return readings.adrift || (await readings.readLog(await openLog(container), true));
    if (readings.outgrown) await readings.readLive(await openAttach(container));
    else await readings.readLog(await openLog(container), false);
    return false;
  };
  const readOn = async (): Promise<void> => {
    for (let over = false, times = 0; !over && !source.closing.aborted; times += 1) {
      if (times > 1) await delay(RETRY_MS, undefined, { signal: source.closing }).catch(() => undefined);
      over = await readOnce(await look(container)).catch(() => false);
    }
  };

  let reading: Promise<void> = Promise.resolve();
  return {
    /** Called at most once. */
    begin(): void {
      reading = readOn();
    },
    async drained(quiet_ms: number): Promise<void> {
      for (let tries = 0; tries < FINAL_TRIES; tries += 1) {
        if ((await untilQuiet(reading, quiet_ms, source.lastByte)) === 'over') return;
        source.leave();
      }
      gap();
    },
    close: source.close,
  };
};

const once = (call: () => void) => {
  let called = false;
  return (): void => {
    if (!called) call();
    called = true;
  };
};

/** The stream that is read at present. */
const createSource = () => {
  const closing = new AbortController();
  let stream: Readable | undefined;
  let last_byte = 0;
  const leave = (): void => {
    stream?.destroy();
  };
  return {
    closing: closing.signal,
    lastByte: () => last_byte,
    /** Ends the present reading. */
    leave,
    close(): void {
      closing.abort();
      leave();
    },
    read(opened: Readable, take: (chunk: Buffer) => void): Promise<boolean> {
      stream = opened;
      if (closing.signal.aborted) leave();
      return readToEnd(opened, (chunk) => {
        last_byte = performance.now();
        take(chunk);
      });
    },
  };
};

const createReadings = (source: ReturnType<typeof createSource>, output: CountedOutput, gap: () => void) => {
  let outgrown = false;
  let adrift = false;
  return {
    /** The log is too large to be followed. */
    get outgrown() {
      return outgrown;
    },
    /** Output was handed on whose place in the log is not known. */
    get adrift() {
      return adrift;
    },
    /** How much room the output takes that the engine has kept. Throws where it could not be read to its end. */
    async measure(kept: Readable): Promise<number> {
      const decoder = createLogDecoder(() => undefined);
      if (!(await source.read(kept, decoder.push))) throw new Error('the engine broke off');
      return decoder.stored_bytes;
    },
    /** `final`: the container has ended. True where this was all of it. */
    async readLog(log: Readable, final: boolean): Promise<boolean> {
      const skip = createSkip(output.positions(), output.sink, gap);
      const decoder = createLogDecoder(skip.sink);
      let left = false;
      const ended = await source.read(log, (chunk) => {
        if (left) return;
        decoder.push(chunk);
        left = !final && decoder.stored_bytes > TRUSTED_BYTES;
        if (left) source.leave();
      });
      outgrown ||= left;
      if (!final || !ended) return false;
      skip.finish(decoder.owesNewline);
      return true;
    },
    async readLive(live: Readable): Promise<void> {
      const demuxer = createDemuxer((stream, chunk) => {
        adrift = true;
        output.sink(stream, chunk);
      });
      gap();
      await source.read(live, demuxer.push);
    },
  };
};
