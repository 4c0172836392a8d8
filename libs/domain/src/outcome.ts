import type { JobState } from './job.js';

/** Why a job or an attempt did not complete. A completed one has no cause. */
export const CAUSES = [
  'exit_code',
  'out_of_memory',
  'timeout',
  'cancelled',
  'queue_timeout',
  'dependency_failed',
  'image_not_found',
  'image_pull_failed',
  'start_failed',
  'killed_externally',
  'removed_externally',
  'engine_restarted',
  'node_lost',
  'poison',
] as const;
export type Cause = (typeof CAUSES)[number];

/** How an attempt ended: expected, stored, never thrown. */
export type Outcome =
  | { kind: 'exited'; exit_code: number; message?: string }
  | { kind: 'out_of_memory'; exit_code: number }
  | { kind: 'timeout'; exit_code: number | null }
  | { kind: 'cancelled'; exit_code: number | null }
  | { kind: 'image_not_found'; message: string }
  | { kind: 'image_pull_failed'; message: string }
  | { kind: 'start_failed'; message: string; exit_code: number | null }
  | { kind: 'killed_externally'; exit_code: number }
  | { kind: 'removed_externally' }
  | { kind: 'engine_restarted'; message?: string }
  | { kind: 'node_lost'; message: string };

/** Why we ourselves ended a container. Recorded before the first signal is sent. */
export const INTENTS = ['cancel', 'timeout'] as const;
export type Intent = (typeof INTENTS)[number];

/** What is known of a container's memory. Its own cgroup is gone with it, so several witnesses are heard. */
export interface MemoryReport {
  /** Processes of the container that the kernel killed for want of memory, as far as any witness saw; at least this many. */
  oom_kills: number;
  /** The engine's own flag. It is known to be false after some true ones. */
  oom_flag: boolean;
  /** The most that was seen in use, in bytes. Null: nobody could look. */
  peak_bytes: number | null;
}

/** What the engine shows of a container after its end. Only this decides how it ended. */
export type ExitReport =
  | {
      kind: 'exited';
      exit_code: number;
      memory: MemoryReport;
      /** The last signal that somebody else sent through the engine (`docker kill`, `docker stop`). Null: none was seen. */
      outside_signal: number | null;
      /** Unix milliseconds by the engine's clock. */
      started_at: number | null;
      finished_at: number;
    }
  | { kind: 'start_failed'; message: string; exit_code: number }
  | { kind: 'removed' }
  | { kind: 'engine_restarted' };

/** What we know beside the report. */
export interface Circumstances {
  /** The first intent that was recorded. */
  intent: Intent | undefined;
  /** Unix milliseconds: past it anyone of the machine may have stopped the container, also one who could record nothing. */
  deadline_ms: number;
  /** When we sent the first signal, in Unix milliseconds. Undefined: we sent none, or whoever did is gone. */
  stopped_at_ms?: number | undefined;
}

/** What was seen of an end, kept with the attempt. */
export interface Evidence {
  exit_code: number | null;
  /** The signal that the exit code stands for, `SIGKILL` for 137. A program may also exit with such a code by itself. */
  signal: string | null;
  oom_kills: number;
  oom_flag: boolean;
  memory_peak_bytes: number | null;
  /** Who asked for the end: our recorded intent; `deadline` where the machine's reaper did; `outside` for another client of the engine. */
  asked_by: Intent | 'deadline' | 'outside' | null;
}

const SIGNALS: Readonly<Record<number, string>> = {
  1: 'SIGHUP',
  2: 'SIGINT',
  3: 'SIGQUIT',
  4: 'SIGILL',
  5: 'SIGTRAP',
  6: 'SIGABRT',
  7: 'SIGBUS',
  8: 'SIGFPE',
  9: 'SIGKILL',
  11: 'SIGSEGV',
  13: 'SIGPIPE',
  14: 'SIGALRM',
  15: 'SIGTERM',
};
const STOP_SIGNALS: ReadonlySet<string> = new Set(['SIGKILL', 'SIGTERM']);

/** What a shell means by an exit code above 128. */
export const toSignal = (exit_code: number): string | null => SIGNALS[exit_code - 128] ?? null;

type Exited = Extract<ExitReport, { kind: 'exited' }>;

const wasOutOfMemory = ({ memory }: Exited): boolean => memory.oom_flag || memory.oom_kills > 0;
const isStopSignal = (signal: number): boolean => STOP_SIGNALS.has(SIGNALS[signal] ?? '');
const diedOfSignalFromOutside = ({ exit_code, outside_signal }: Exited): boolean =>
  outside_signal !== null && exit_code === 128 + outside_signal;

/**
 * Who beside us asked for the end. A stop signal asks for it whatever the program makes of it, another one only where the program
 * died of it. Past the deadline it was the machine's reaper, or another worker, whether or not its signal was seen.
 */
const toAsker = (report: Exited, deadline_ms: number): 'deadline' | 'outside' | null => {
  const { exit_code, outside_signal, finished_at } = report;
  const was_asked = outside_signal !== null && isStopSignal(outside_signal);
  if (was_asked || diedOfSignalFromOutside(report)) return finished_at >= deadline_ms ? 'deadline' : 'outside';
  const died_late = finished_at >= deadline_ms && isStopSignal(exit_code - 128);
  return died_late && !wasOutOfMemory(report) ? 'deadline' : null;
};

const OOM_WARNING =
  'A process of this job was killed for want of memory; the job itself went on and ended with exit code 0.';

/** Whether the program ended once we had told it to: a 0 then is how it takes leave, not that it was done. */
export const endedAfterStop = (report: ExitReport, { stopped_at_ms }: Circumstances): boolean =>
  report.kind === 'exited' && stopped_at_ms !== undefined && report.finished_at >= stopped_at_ms;

/**
 * An exit code of 0 that was reached in time stands, whatever we had in mind: the program finished first. A cancel is the
 * exception: whoever asked was told that the job is cancelled, so it is.
 */
export const toOutcome = (report: ExitReport, circumstances: Circumstances): Outcome => {
  const { intent, deadline_ms } = circumstances;
  const exit_code = 'exit_code' in report ? report.exit_code : null;
  if (intent === 'cancel') return { kind: 'cancelled', exit_code };
  if (intent === 'timeout' && (exit_code !== 0 || endedAfterStop(report, circumstances)))
    return { kind: 'timeout', exit_code };
  if (report.kind === 'removed') return { kind: 'removed_externally' };
  if (report.kind === 'engine_restarted' || report.kind === 'start_failed') return report;
  return toOutcomeOfExit(report, deadline_ms);
};

/** Memory is the cause unless the program died of the very signal that came from outside. */
const toOutcomeOfExit = (report: Exited, deadline_ms: number): Outcome => {
  const { exit_code } = report;
  const out_of_memory = wasOutOfMemory(report);
  if (exit_code === 0) return { kind: 'exited', exit_code, ...(out_of_memory ? { message: OOM_WARNING } : {}) };
  if (out_of_memory && !diedOfSignalFromOutside(report)) return { kind: 'out_of_memory', exit_code };
  const asked_by = toAsker(report, deadline_ms);
  if (asked_by === null) return { kind: 'exited', exit_code };
  return { kind: asked_by === 'deadline' ? 'timeout' : 'killed_externally', exit_code };
};

/** Null where no container ended: nothing was seen. */
export const toEvidence = (report: ExitReport, circumstances: Circumstances): Evidence | null => {
  if (report.kind !== 'exited') return null;
  const { exit_code, memory } = report;
  return {
    exit_code,
    signal: toSignal(exit_code),
    oom_kills: memory.oom_kills,
    oom_flag: memory.oom_flag,
    memory_peak_bytes: memory.peak_bytes,
    asked_by: circumstances.intent ?? toAsker(report, circumstances.deadline_ms),
  };
};

export const toCause = (outcome: Outcome): Cause | null => {
  if (outcome.kind === 'exited') return outcome.exit_code === 0 ? null : 'exit_code';
  return outcome.kind;
};

export const toExitCode = (outcome: Outcome): number | null => ('exit_code' in outcome ? outcome.exit_code : null);

export const toMessage = (outcome: Outcome): string | null => ('message' in outcome ? (outcome.message ?? null) : null);

export const toFinalState = (outcome: Outcome): JobState => {
  if (outcome.kind === 'cancelled') return 'cancelled';
  return toCause(outcome) === null ? 'completed' : 'failed';
};
