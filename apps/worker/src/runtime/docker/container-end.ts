import type { ExitReport } from '@berth/domain';
import type Docker from 'dockerode';
import { RuntimeFault } from '../container-runtime.js';
import { callWithin, DEADLINES } from './engine-calls.js';
import type { EngineEvents } from './engine-events.js';
import { toStatusCode } from './faults.js';
import { findMissingProgram } from './missing-program.js';

const POLL_MS = 5_000;
/** How soon an engine that did not answer is asked again. */
const RETRY_MS = 1_000;
/** A wait settles by itself at the container's end, but not where its connection is dead. */
const WAIT_LEFT_MS = 2_000;
const KILLED = 137;
const TERMINATED = 143;

type State = Docker.ContainerInspectInfo['State'];

export interface EndWatch {
  /** The end that `inspect` shows. Rejects only when the runtime is closed. */
  readonly report: Promise<ExitReport>;
  stop(): void;
}

export interface EndWatchOptions {
  docker: Docker;
  container: Docker.Container;
  events: EngineEvents;
  /** Whether we ourselves have sent a signal: then the engine is not to blame for 137. */
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
  const { container, events, fresh } = options;
  const stopping = new AbortController();
  const sign = createSign();
  const unwatch = events.watch(container.id, sign.raise);
  stopping.signal.addEventListener('abort', sign.raise);
  const sendWait = createWait(container, stopping.signal, sign);
  if (fresh) sendWait('next-exit');
  const report = followToEnd(options, { sign, sendWait, stopping: stopping.signal }).finally(() => {
    unwatch();
    setTimeout(() => stopping.abort(), WAIT_LEFT_MS).unref();
  });
  report.catch(() => undefined);
  return { report, stop: () => stopping.abort() };
};

interface Signs {
  sign: Sign;
  sendWait: (condition: 'next-exit' | 'not-running') => void;
  stopping: AbortSignal;
}

/** `alive_in`: the connection of the event stream in which the container was last seen alive. */
const followToEnd = async (options: EndWatchOptions, { sign, sendWait, stopping }: Signs): Promise<ExitReport> => {
  const { container, events, fresh } = options;
  let alive_in = fresh ? events.connection : null;
  let raised = await sign.next(fresh ? POLL_MS : 0);
  while (!stopping.aborted) {
    const connection = events.connection;
    const seen = await look(container);
    const report = await toEnd(options, seen, () => alive_in === null || events.connection !== alive_in);
    if (report !== undefined) return report;
    if (isRunning(seen)) alive_in = connection;
    if (!raised) sendWait('not-running');
    raised = await sign.next(seen === 'unknown' ? RETRY_MS : POLL_MS);
  }
  throw new RuntimeFault('engine_unavailable', 'The runtime was closed', { retryable: true });
};

const toEnd = async (options: EndWatchOptions, seen: Seen, missedEvents: () => boolean) => {
  if (seen === 'gone') return { kind: 'removed' } as const;
  return seen !== 'unknown' && hasEnded(seen) ? await judgeEnd(options, seen, missedEvents) : undefined;
};

const isRunning = (seen: Seen): boolean => typeof seen !== 'string' && seen.State.Running;

type Seen = Docker.ContainerInspectInfo | 'gone' | 'unknown';

const look = (container: Docker.Container): Promise<Seen> =>
  callWithin(DEADLINES.read, (abortSignal) => container.inspect({ abortSignal })).catch((error: unknown) =>
    toStatusCode(error) === 404 ? 'gone' : 'unknown',
  );

/** A container being removed shows its end already. One that was only created has none. */
const hasEnded = ({ State }: Docker.ContainerInspectInfo): boolean =>
  !State.Running && State.Status !== 'created' && parseTime(State.FinishedAt) !== null;

/**
 * An engine that goes down takes its containers with it, and they look as if someone had killed them: 137, or 143 where
 * it had the time to be polite. So where we sent no signal and memory was not short, a death by signal is the engine's
 * doing if its event stream broke since we last saw the container alive, or if it takes no new connection now: a
 * stopping engine closes its door first and lets open connections be. Someone else's removal by force kills first and
 * removes after; it is told by what it leaves.
 */
const judgeEnd = async (
  options: EndWatchOptions,
  seen: Docker.ContainerInspectInfo,
  missedEvents: () => boolean,
): Promise<ExitReport> => {
  const { ExitCode } = seen.State;
  if (ExitCode === 126 || ExitCode === 127) {
    const message = await findMissingProgram(options.container, seen.Config);
    if (message !== undefined) return { kind: 'start_failed', message, exit_code: ExitCode };
  }
  const suspicious = (ExitCode === KILLED || ExitCode === TERMINATED) && !seen.State.OOMKilled && !options.wasKilled();
  if (!suspicious) return toReport(seen.State);
  if (seen.State.Status === 'removing') return { kind: 'removed' };
  if (missedEvents() || !(await options.isEngineUp()) || missedEvents()) return { kind: 'engine_restarted' };
  const again = await look(options.container);
  if (again === 'gone') return { kind: 'removed' };
  // Someone else may have started it again by now: what counts is how the program that we started ended.
  return toReport(again !== 'unknown' && hasEnded(again) ? again.State : seen.State);
};

const toReport = (state: State): ExitReport => ({
  kind: 'exited',
  exit_code: state.ExitCode,
  oom_killed: state.OOMKilled,
  started_at: parseTime(state.StartedAt),
  finished_at: parseTime(state.FinishedAt) ?? Date.now(),
});

/** The engine writes the year 1 for "never". */
const parseTime = (text: string): number | null => {
  const time = Date.parse(text);
  return Number.isNaN(time) || time <= 0 ? null : time;
};

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
