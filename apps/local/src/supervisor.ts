import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { openLog, prepareLog } from './log-file.js';
import { forgetProcess, isAlive, type ProcessRecord, recordProcess, signalProcess } from './process-record.js';
import { waitUntil } from './wait-until.js';

export interface ProcessSpec {
  /** Names its log (`logs/<name>.log`) and its record (`run/<name>.json`) in the data folder. */
  name: string;
  command: string;
  args: readonly string[];
  env: NodeJS.ProcessEnv;
  dataDir: string;
  /** One that runs already, which an earlier start left behind: it is kept, and only the next one is started here. */
  existing?: ProcessRecord | undefined;
  /** Called before each start. Must not throw. */
  prepare?: () => void;
  /** From TERM to KILL. */
  grace_ms: number;
  /** First and longest pause before it is started again. */
  backoff_ms?: readonly [number, number];
  /** Sees each line of its output. Without it the output goes straight to the log, also when this process is no more. */
  onLine?: (line: string) => void;
  onExit?: (end: string, pause_ms: number) => void;
}

export interface Supervised {
  readonly name: string;
  pid(): number | undefined;
  /** How often it has ended so far, unasked. */
  exits(): number;
  stop(): Promise<void>;
  /** KILL, at once, and never again. */
  kill(): void;
}

const last_words_ms = 200;
/** A child that has lived this long has earned a fresh start of the back-off. */
const settled_ms = 30_000;

export const toPause = (exits_in_a_row: number, [first, longest]: readonly [number, number]): number =>
  Math.min(longest, first * 2 ** Math.max(0, exits_in_a_row - 1));

/**
 * Keeps one child running: one that dies is started again after a pause that doubles from the first to the longest.
 *
 * The child leads a process group of its own, because a Ctrl-C in a terminal goes to every process of the foreground
 * group: the order in which things stop must stay ours. `stop` may come while a child runs, or while one waits for its
 * next start, or twice; after it nothing is started again, and it returns only when the child is gone.
 */
export const supervise = (spec: ProcessSpec): Supervised => {
  const output = openOutput(spec);
  const backoff_ms = spec.backoff_ms ?? [500, 10_000];
  let child: Running | undefined;
  let ended: Promise<void> = Promise.resolve();
  let pause: NodeJS.Timeout | undefined;
  let stopping = false;
  let exits = 0;
  let in_a_row = 0;

  const watch = (current: Running) => {
    const started_at = Date.now();
    child = current;
    if (current.pid) recordProcess(spec.dataDir, spec.name, current.pid);
    ended = current.ended.then((end) => {
      forgetProcess(spec.dataDir, spec.name);
      child = undefined;
      if (stopping) return;
      exits += 1;
      in_a_row = Date.now() - started_at > settled_ms ? 1 : in_a_row + 1;
      const pause_ms = toPause(in_a_row, backoff_ms);
      spec.onExit?.(end, pause_ms);
      pause = setTimeout(start, pause_ms);
    });
  };
  const start = () => {
    spec.prepare?.();
    watch(toRunning(output.spawn()));
  };

  const stop = async () => {
    stopping = true;
    clearTimeout(pause);
    const current = child;
    current?.kill('SIGTERM');
    const deadline = setTimeout(() => current?.kill('SIGKILL'), spec.grace_ms);
    await ended;
    clearTimeout(deadline);
    await output.close();
  };

  const kill = () => {
    stopping = true;
    clearTimeout(pause);
    child?.kill('SIGKILL');
  };

  if (spec.existing) watch(toAdopted(spec.existing));
  else start();
  return { name: spec.name, pid: () => child?.pid, exits: () => exits, stop, kill };
};

interface Running {
  pid: number | undefined;
  kill(signal: NodeJS.Signals): void;
  /** How it ended, in words. */
  ended: Promise<string>;
}

const toRunning = (child: ChildProcess): Running => ({
  pid: child.pid,
  kill: (signal) => void child.kill(signal),
  ended: endOf(child),
});

/** No child of ours: how it ended is not told, only that it is gone. */
const toAdopted = (record: ProcessRecord): Running => ({
  pid: record.pid,
  kill: (signal) => signalProcess(record, signal),
  ended: waitUntil(() => !isAlive(record), { timeout_ms: Number.POSITIVE_INFINITY, interval_ms: 250 }).then(
    () => 'is gone',
  ),
});

interface Output {
  spawn(): ChildProcess;
  close(): Promise<void>;
}

const openOutput = (spec: ProcessSpec): Output => (spec.onLine ? openPiped(spec, spec.onLine) : openDirect(spec));

/** Not a pipe: dockerd dies of one that nobody reads any more. */
const openDirect = (spec: ProcessSpec): Output => ({
  spawn: () => {
    const log = openSync(prepareLog(spec.dataDir, spec.name), 'a');
    try {
      return spawn(spec.command, spec.args, { env: spec.env, detached: true, stdio: ['ignore', log, log] });
    } finally {
      closeSync(log);
    }
  },
  close: async () => {},
});

const openPiped = (spec: ProcessSpec, onLine: (line: string) => void): Output => {
  const log = openLog(spec.dataDir, spec.name);
  const takeLine = (line: string) => {
    log.write(line);
    onLine(line);
  };
  return {
    spawn: () => {
      const child = spawn(spec.command, spec.args, {
        env: spec.env,
        detached: true,
        stdio: ['ignore', 'pipe', 'pipe'],
      });
      for (const stream of [child.stdout, child.stderr]) createInterface({ input: stream }).on('line', takeLine);
      return child;
    },
    close: log.close,
  };
};

/**
 * How it ended, in words. A program that could not be started ends here too. Its last words may still be in the pipe when
 * it is gone, but a grandchild may hold the pipe open for long: a short wait, then on.
 */
const endOf = (child: ChildProcess): Promise<string> =>
  new Promise((resolve) => {
    child.once('error', (error) => resolve(`could not be started: ${error.message}`));
    child.once('exit', (code, signal) => {
      const end = signal ? `was killed by ${signal}` : `ended with code ${code}`;
      child.once('close', () => resolve(end));
      setTimeout(() => resolve(end), last_words_ms);
    });
  });
