import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** What a child process is told. */
export interface Place {
  /** Logs go here. */
  folder: string;
  env: Record<string, string>;
  args?: string[];
}

export interface Program {
  pid: number;
  /** The log line that said it was ready. */
  ready: Record<string, unknown>;
  stop(): Promise<void>;
  /** Settles when it is dead. */
  kill(): Promise<void>;
}

/** For a profile of every process: `BENCH_NODE_ARGS="--cpu-prof --cpu-prof-dir=…"`. */
const NODE_ARGS = process.env.BENCH_NODE_ARGS?.split(' ') ?? [];
const READY_LIMIT_MS = 60_000;

const findLine = (log: string, message: string): Record<string, unknown> | undefined => {
  const line = readFileSync(log, 'utf8')
    .split('\n')
    .find((text) => text.includes(`"msg":"${message}"`));
  return line === undefined ? undefined : (JSON.parse(line) as Record<string, unknown>);
};

const endChild = async (child: ChildProcess, signal: NodeJS.Signals): Promise<void> => {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise((resolve) => child.once('exit', resolve));
  child.kill(signal);
  await ended;
};

const live = new Set<ChildProcess>();
process.on('exit', () => {
  for (const child of live) child.kill('SIGKILL');
});

let opened = 0;

/** Runs a node program of the repository until it logs `message`. Its log stays in the folder. */
export const openProgram = async (path: string, message: string, place: Place): Promise<Program> => {
  const { folder, env, args = [] } = place;
  opened += 1;
  const log = join(folder, `${opened}-${path.replaceAll('/', '-')}.log`);
  const fd = openSync(log, 'w');
  const child = spawn(process.execPath, [...NODE_ARGS, join(ROOT, path), ...args], {
    env: { PATH: process.env.PATH, ...env },
    stdio: ['ignore', fd, fd],
  });
  closeSync(fd);
  live.add(child);
  child.once('exit', () => live.delete(child));
  const deadline = Date.now() + READY_LIMIT_MS;
  for (;;) {
    const ready = findLine(log, message);
    if (ready && child.pid) {
      return { pid: child.pid, ready, stop: () => endChild(child, 'SIGTERM'), kill: () => endChild(child, 'SIGKILL') };
    }
    if (child.exitCode !== null || Date.now() > deadline) {
      throw new Error(`${path} did not start. It said:\n${readFileSync(log, 'utf8').slice(-2_000)}`);
    }
    await sleep(20);
  }
};
