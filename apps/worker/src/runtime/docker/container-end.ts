import type { ExitReport } from '@berth/domain';
import type Docker from 'dockerode';
import { RuntimeFault } from '../container-runtime.js';
import { callWithin, DEADLINES } from './engine-calls.js';
import type { EngineEvents } from './engine-events.js';
import { toStatusCode } from './faults.js';
import { type EndedContainer, hasEnded, judgeEnd, type Seen } from './judge-end.js';
import type { MemoryWitness } from './memory-witness.js';
import { mayHaveSeenEnd } from './past-events.js';
import { createSightings } from './sightings.js';

const POLL_MS = 5_000;
/** How soon an engine that did not answer is asked again. */
const RETRY_MS = 1_000;
/** A wait settles by itself at the container's end, but not where its connection is dead. */
const WAIT_LEFT_MS = 2_000;

export interface EndWatch {
  /** The end that `inspect` shows. Rejects only when the runtime is closed. */
  readonly report: Promise<ExitReport>;
  /** Whether an engine was up that could take in the last output: where the container outlived one, that is lost. */
  sawEnd(): Promise<boolean>;
  stop(): void;
}

export interface EndWatchOptions {
  docker: Docker;
  container: Docker.Container;
  events: EngineEvents;
  memory: MemoryWitness;
  /** Whether we ourselves have sent a signal: then neither the engine nor anyone else is to blame for 137. */
  wasKilled: () => boolean;
  /** False for a container that may be over already: it is looked at first. */
  fresh: boolean;
  isEngineUp: () => Promise<boolean>;
}

/**
 * Three signs tell that a container may have ended: its `wait` call settles, in whatever way; the engine's event stream
 * names it, breaks or comes back; or five seconds have passed. Each only makes us look. `inspect` decides, and where the
 * engine does not answer we ask again until it does: a container may well outlive its engine.
 *
 * The `wait` call is sent before this function returns, so a caller that starts the container afterwards misses nothing.
 */
export const watchEnd = (options: EndWatchOptions): EndWatch => {
  const { container, docker, events, fresh } = options;
  const stopping = new AbortController();
  const sign = createSign();
  const memory = options.memory.watch(container.id);
  const sightings = createSightings(memory, options.wasKilled);
  const unwatch = events.watch(container.id, { wake: sign.raise, note: sightings.note });
  stopping.signal.addEventListener('abort', sign.raise);
  const sendWait = createWait(container, stopping.signal, sign);
  if (fresh) sendWait('next-exit');
  const seen = { memory, sightings };
  const followed = followToEnd(options, { sign, sendWait, stopping: stopping.signal, seen }).finally(() => {
    unwatch();
    memory.stop();
    setTimeout(() => stopping.abort(), WAIT_LEFT_MS).unref();
  });
  const report = followed.then((end) => end.report);
  report.catch(() => undefined);
  const sawEnd = async () => !(await followed).missed || (await mayHaveSeenEnd(docker, container.id));
  return { report, sawEnd, stop: () => stopping.abort() };
};

interface Signs {
  sign: Sign;
  sendWait: (condition: 'next-exit' | 'not-running') => void;
  stopping: AbortSignal;
  seen: Pick<EndedContainer, 'memory' | 'sightings'>;
}

/** `alive_in`: the connection of the event stream in which the container was last seen alive. */
const followToEnd = async (
  options: EndWatchOptions,
  signs: Signs,
): Promise<{ report: ExitReport; missed: boolean }> => {
  const { container, events, fresh, docker, wasKilled, isEngineUp } = options;
  const { sign, sendWait, stopping } = signs;
  let alive_in = fresh ? events.connection : null;
  const missedEvents = () => alive_in === null || events.connection !== alive_in;
  const look = () => lookAt(container);
  const shared = { docker, container, look, wasKilled, isEngineUp };
  const ended = { ...shared, ...signs.seen, missedEvents, watched_from_start: fresh };
  let raised = await sign.next(fresh ? POLL_MS : 0);
  while (!stopping.aborted) {
    const connection = events.connection;
    const seen = await look();
    const report = await toEnd(ended, seen);
    if (report !== undefined) return { report, missed: missedEvents() };
    if (isRunning(seen)) alive_in = connection;
    if (!raised) sendWait('not-running');
    raised = await sign.next(seen === 'unknown' ? RETRY_MS : POLL_MS);
  }
  throw new RuntimeFault('engine_unavailable', 'The runtime was closed', { retryable: true });
};

const toEnd = async (ended: EndedContainer, seen: Seen) => {
  if (seen === 'gone') return { kind: 'removed' } as const;
  return seen !== 'unknown' && hasEnded(seen) ? await judgeEnd(ended, seen) : undefined;
};

const isRunning = (seen: Seen): boolean => typeof seen !== 'string' && seen.State.Running;

const lookAt = (container: Docker.Container): Promise<Seen> =>
  callWithin(DEADLINES.read, (abortSignal) => container.inspect({ abortSignal })).catch((error: unknown) =>
    toStatusCode(error) === 404 ? 'gone' : 'unknown',
  );

/** Sends one `wait` at a time. However it settles, that is only a sign. */
const createWait = (container: Docker.Container, abortSignal: AbortSignal, sign: Sign) => {
  let outstanding = false;
  const settle = () => {
    outstanding = false;
    sign.raise();
  };
  return (condition: 'next-exit' | 'not-running') => {
    if (outstanding) return;
    outstanding = true;
    container.wait({ condition, abortSignal }).then(settle, settle);
  };
};

interface Sign {
  raise(): void;
  /** Resolves once raised, or after `limit_ms`; says whether it was raised. A sign raised meanwhile is kept. */
  next(limit_ms: number): Promise<boolean>;
}

const createSign = (): Sign => {
  let raised = false;
  let release: () => void = () => undefined;
  return {
    raise: () => {
      raised = true;
      release();
    },
    next: async (limit_ms) => {
      if (!raised) {
        await new Promise<void>((resolve) => {
          const timer = setTimeout(resolve, limit_ms);
          release = () => {
            clearTimeout(timer);
            resolve();
          };
        });
      }
      const was = raised;
      raised = false;
      return was;
    },
  };
};
