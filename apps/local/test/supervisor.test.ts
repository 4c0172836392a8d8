import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { identifyProcess, isAlive, readLeftovers } from '../src/process-record.js';
import { type ProcessSpec, type Supervised, supervise } from '../src/supervisor.js';
import { waitUntil } from '../src/wait-until.js';

const fixture = (name: string) => fileURLToPath(new URL(`./fixtures/${name}.mjs`, import.meta.url));

let dataDir: string;
let running: Supervised | undefined;

const open = (name: string, more: Partial<ProcessSpec> = {}): Supervised => {
  running = supervise({
    name,
    command: process.execPath,
    args: [fixture(name)],
    env: process.env,
    dataDir,
    grace_ms: 15_000,
    backoff_ms: [20, 80],
    ...more,
  });
  return running;
};

const eventually = async (check: () => boolean) => {
  expect(await waitUntil(check, { timeout_ms: 60_000 })).toBe(true);
};

const pidOf = (child: Supervised): number => {
  const pid = child.pid();
  if (!pid) throw new Error('it does not run');
  return pid;
};

beforeEach(() => {
  dataDir = mkdtempSync(join(tmpdir(), 'berth-supervisor-'));
});
afterEach(async () => {
  running?.kill();
  await running?.stop();
  rmSync(dataDir, { recursive: true, force: true });
});

describe('a supervised child', () => {
  it('is started again when it is killed', async () => {
    const ends: string[] = [];
    const child = open('worker', { onExit: (end) => ends.push(end) });
    const first = pidOf(child);
    process.kill(first, 'SIGKILL');
    await eventually(() => child.pid() !== undefined && child.pid() !== first);
    expect(ends).toEqual(['was killed by SIGKILL']);
    expect(identifyProcess(first)).toBeUndefined();
  });

  it('may be one that an earlier start left behind', async () => {
    const earlier = spawn(process.execPath, [fixture('worker')], { detached: true, stdio: 'ignore' });
    const existing = identifyProcess(earlier.pid ?? 0);
    const ends: string[] = [];
    const child = open('worker', { existing, onExit: (end) => ends.push(end) });
    expect(child.pid()).toBe(earlier.pid);
    process.kill(pidOf(child), 'SIGKILL');
    await eventually(() => child.pid() !== undefined && child.pid() !== earlier.pid);
    expect(ends).toEqual(['is gone']);
    expect(readLeftovers(dataDir).get('worker')?.pid).toBe(child.pid());
  });

  it('is stopped like any other when an earlier start left it behind', async () => {
    const earlier = spawn(process.execPath, [fixture('worker')], { detached: true, stdio: 'ignore' });
    const child = open('worker', { existing: identifyProcess(earlier.pid ?? 0) });
    await child.stop();
    expect(identifyProcess(earlier.pid ?? 0)).toBeUndefined();
    expect(child.exits()).toBe(0);
  });

  it('is started less and less often while it dies at once', async () => {
    const pauses: number[] = [];
    open('short-lived', { onExit: (end, pause_ms) => pauses.push(end === 'ended with code 3' ? pause_ms : -1) });
    await eventually(() => pauses.length >= 4);
    expect(pauses.slice(0, 4)).toEqual([20, 40, 80, 80]);
  });

  it('is gone after stop, and stays gone', async () => {
    const exits: string[] = [];
    const child = open('worker', { onExit: (end) => exits.push(end) });
    const pid = pidOf(child);
    const record = readLeftovers(dataDir).get('worker');
    expect(record).toMatchObject({ pid });
    await child.stop();
    expect(record && isAlive(record)).toBe(false);
    expect(child.pid()).toBeUndefined();
    expect(exits).toEqual([]);
    expect(readLeftovers(dataDir).size).toBe(0);
  });

  it('is killed when it ignores TERM', async () => {
    const lines: string[] = [];
    const child = open('stubborn', { grace_ms: 50, onLine: (line) => lines.push(line) });
    const pid = pidOf(child);
    await eventually(() => lines.includes('ready'));
    await child.stop();
    expect(identifyProcess(pid)).toBeUndefined();
  });

  it('is not started by a pause that ends after stop', async () => {
    const child = open('short-lived', { backoff_ms: [60_000, 60_000] });
    await eventually(() => child.exits() === 1);
    await child.stop();
    expect(child.pid()).toBeUndefined();
    expect(readFileSync(join(dataDir, 'logs/short-lived.log'), 'utf8')).toBe('alive\n');
  });

  it('counts a program that does not exist as an exit', async () => {
    const ends: string[] = [];
    open('worker', { command: '/no/such/program', onExit: (end) => ends.push(end) });
    await eventually(() => ends.length > 0);
    expect(ends[0]).toMatch(/could not be started/);
  });
});
