import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { until } from '../harness.js';
import type { Keeper } from './keeper.js';

/** A process of the world that can be killed and started again, as often as one likes. */
export interface Program {
  readonly name: string;
  /** Throws while it does not run. */
  readonly pid: number;
  readonly alive: boolean;
  /** How often it was started. */
  readonly starts: number;
  /** What the present run has written. */
  output(): string;
  /** What all runs have written. */
  allOutput(): string;
  /** Starts it where it does not run, and waits until it is ready. */
  start(options?: StartOptions): Promise<void>;
  /** `SIGKILL` and the like return at once; see `ended`. */
  kill(signal: NodeJS.Signals): void;
  /** Settles at the end of the present run, at once where none is. */
  ended(limit_ms?: number): Promise<void>;
  /** Kills it and waits for its end. */
  end(signal?: NodeJS.Signals): Promise<void>;
  /** Starts it again by itself, with back-off, until `false` is said. */
  supervise(wanted: boolean): void;
}

export interface StartOptions {
  env?: Record<string, string>;
  args?: string[];
  /** Does not wait until it is ready. */
  unready?: boolean;
}

export interface ProgramSpec {
  name: string;
  command: string;
  args: string[];
  env?: Record<string, string>;
  folder: string;
  keeper: Keeper;
  /** Called until it returns true. */
  isReady: (output: string) => Promise<boolean> | boolean;
}

const READY_MS = 120_000;
const FIRST_PAUSE_MS = 200;
const LONGEST_PAUSE_MS = 3_000;
const SETTLED_MS = 10_000;

/** Its output goes to a file: nobody has to read it, and it outlives whoever started it. */
export const createProgram = (spec: ProgramSpec): Program => {
  let child: ChildProcess | undefined;
  let options: StartOptions = {};
  let starts = 0;
  let supervised = false;
  let pause_ms = FIRST_PAUSE_MS;
  let restart: NodeJS.Timeout | undefined;
  const logOf = (run: number) => join(spec.folder, `${spec.name}-${run}.out`);
  const read = (run: number) => (run === 0 ? '' : readFileSync(logOf(run), 'utf8'));

  const launch = (): void => {
    starts += 1;
    const log = openSync(logOf(starts), 'w');
    const started = spawn(spec.command, [...spec.args, ...(options.args ?? [])], {
      env: { ...process.env, ...spec.env, ...options.env },
      detached: true,
      stdio: ['ignore', log, log],
    });
    closeSync(log);
    if (started.pid === undefined) throw new Error(`could not start ${spec.name}: is ${spec.command} installed?`);
    spec.keeper.own(started.pid);
    child = started;
    const begun = Date.now();
    started.once('exit', () => {
      child = undefined;
      if (!supervised) return;
      if (Date.now() - begun > SETTLED_MS) pause_ms = FIRST_PAUSE_MS;
      restart = setTimeout(launch, pause_ms);
      pause_ms = Math.min(2 * pause_ms, LONGEST_PAUSE_MS);
    });
  };

  const program: Program = {
    name: spec.name,
    get pid() {
      if (child?.pid === undefined) throw new Error(`${spec.name} does not run\n${read(starts).slice(-4_000)}`);
      return child.pid;
    },
    get alive() {
      return child !== undefined;
    },
    get starts() {
      return starts;
    },
    output: () => read(starts),
    allOutput: () => Array.from({ length: starts }, (_, run) => read(run + 1)).join(''),
    async start(given = {}) {
      clearTimeout(restart);
      options = given;
      if (child === undefined) launch();
      if (given.unready) return;
      const run = starts;
      const look = async () => {
        if (starts === run && child === undefined && !supervised) return 'ended';
        return (await spec.isReady(program.output())) ? 'ready' : undefined;
      };
      const seen = await until(`${spec.name} to be ready`, look, READY_MS).catch((error: Error) => error.message);
      if (seen !== 'ready') throw new Error(`${spec.name}: ${seen}\n${program.output().slice(-4_000)}`);
    },
    kill: (signal) => void child?.kill(signal),
    async ended(limit_ms = 90_000) {
      const current = child;
      if (current === undefined) return;
      let timer: NodeJS.Timeout | undefined;
      const late = new Promise<never>((_, reject) => {
        timer = setTimeout(() => reject(new Error(`${spec.name} did not end within ${limit_ms} ms`)), limit_ms);
      });
      await Promise.race([once(current, 'exit'), late]).finally(() => clearTimeout(timer));
    },
    async end(signal = 'SIGKILL') {
      program.kill(signal);
      await program.ended();
    },
    supervise(wanted) {
      supervised = wanted;
      if (!wanted) clearTimeout(restart);
    },
  };
  return program;
};
