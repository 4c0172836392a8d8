import { type ChildProcess, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Docker from 'dockerode';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import { CLOCKS } from '../src/deadline-clock.js';
import { writeLeaseFile } from '../src/lease-file.js';
import { createFences } from '../src/reaper/fences.js';
import { createReaper, keepReaping } from '../src/reaper/reaper.js';
import { toLabels } from '../src/runtime/docker/container-labels.js';
import { openEngine } from '../src/runtime/docker/engine-calls.js';
import { IMAGE } from './conformance.js';
import { openCuttableEngine } from './cuttable-engine.js';

/** Every container here also carries this label, and the reapers under test look for it: they leave all others alone. */
const OURS = `berth-test.reaper=${randomUUID()}`;
const docker = new Docker();
const silent = pino({ level: 'silent' });
const now = () => Math.floor(Date.now() / 1_000);

let dir: string;
let installation: string;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'berth-reaper-'));
  installation = `test-${randomUUID()}`;
});
afterEach(async () => {
  const found = await docker.listContainers({ all: true, filters: { label: [OURS] } });
  await Promise.all(found.map(({ Id }) => docker.getContainer(Id).remove({ force: true, v: true })));
  rmSync(dir, { recursive: true });
});

const run = async (labels: Record<string, string>): Promise<Docker.Container> => {
  const [name = '', value = ''] = OURS.split('=');
  const container = await docker.createContainer({
    Image: IMAGE,
    Entrypoint: ['/bin/sh', '-c', 'trap "" TERM; while :; do sleep 1; done'],
    Labels: { ...labels, [name]: value },
    HostConfig: { NetworkMode: 'none', Init: true },
  });
  await container.start();
  return container;
};
const labelsOf = (deadline: number) => toLabels({ installation, job_id: randomUUID(), epoch: 2, attempt: 1, deadline });
const runJob = (deadline: number) => run(labelsOf(deadline));
const stateOf = async (container: Docker.Container) => (await container.inspect()).State;
const statusOf = async (container: Docker.Container) => (await stateOf(container)).Status;
/** The engine answers a kill before it has seen the end. */
const untilKilled = (container: Docker.Container) =>
  vi.waitFor(async () => expect(await stateOf(container)).toMatchObject({ Status: 'exited', ExitCode: 137 }), 30_000);
const reaper = (log = silent) => createReaper({ docker, fences: createFences(dir), log, only: [OURS] });

describe('deadlines', () => {
  test('what is past its deadline is killed and kept, of whatever installation', async () => {
    const mine = await runJob(now() - 8);
    installation = `other-${installation}`;
    const theirs = await runJob(now() - 8);
    await reaper().pass();
    for (const container of [mine, theirs]) {
      await untilKilled(container);
    }
  });

  test('a paused one is killed too', async () => {
    const container = await runJob(now() - 8);
    await container.pause();
    await reaper().pass();
    await untilKilled(container);
  });

  test('what is not due, or within the margin, and what is not wholly ours survives', async () => {
    const { 'berth.epoch': _epoch, ...partial } = labelsOf(now() - 3_600);
    const survivors = [
      await runJob(now() + 60),
      await run(partial),
      await run({ ...labelsOf(now() - 3_600), 'berth.deadline': 'soon' }),
      await run({ 'berth.deadline': '1' }),
    ];
    const due = await runJob(now() - 8);
    // Time stands still for the reaper: the margin would soon be over.
    const clocks = [
      vi.spyOn(CLOCKS, 'wall').mockReturnValue(Date.now()),
      vi.spyOn(CLOCKS, 'steady').mockReturnValue(0),
    ];
    onTestFinished(() => clocks.forEach((clock) => void clock.mockRestore()));
    survivors.push(await runJob(Math.floor(CLOCKS.wall() / 1_000) - 1));
    await reaper().pass();
    await untilKilled(due);
    expect(await Promise.all(survivors.map(statusOf))).toEqual(survivors.map(() => 'running'));
  });

  test('one that has ended is not touched, and says so once', async () => {
    const lines: string[] = [];
    const log = pino({ level: 'info' }, { write: (line) => lines.push(line) });
    const container = await runJob(now() - 8);
    const it = reaper(log);
    await it.pass();
    await untilKilled(container);
    await it.pass();
    expect(lines.map((line) => JSON.parse(line))).toEqual([
      expect.objectContaining({ level: 40, container: container.id, epoch: 2, reason: 'past its deadline' }),
    ]);
  });
});

describe('the dead man’s switch', () => {
  const leave = async (age_ms: number, more = {}) => {
    const engine = (await docker.info()).ID;
    const lease = { installation, engine, exclusive: true, renewed_at: Date.now() - age_ms, lease_ms: 20_000 };
    await writeLeaseFile(dir, { ...lease, ...more });
  };

  test('pauses what runs where no worker has renewed, and nothing of another installation', async () => {
    const foreign = await runJob(now() + 60);
    installation = `other-${installation}`;
    const own = await runJob(now() + 60);
    await leave(18_500);
    await reaper().pass();
    expect(await statusOf(own)).toBe('paused');
    expect(await statusOf(foreign)).toBe('running');
  });

  test('pauses once: what a worker unpauses after it has renewed runs on', async () => {
    const container = await runJob(now() + 60);
    const it = reaper();
    await leave(60_000);
    await it.pass();
    expect(await statusOf(container)).toBe('paused');
    await it.pass();
    await leave(0);
    await container.unpause();
    await it.pass();
    expect(await statusOf(container)).toBe('running');
  });

  test.each([
    ['a fresh lease', 5_000, {}],
    ['no other machine', 60_000, { exclusive: false }],
    ['a lease that was let go for longer', 60_000, { lease_ms: 300_000 }],
    ['the word of another engine', 60_000, { engine: 'another' }],
  ])('leaves alone: %s', async (_name, age_ms, more) => {
    const container = await runJob(now() + 60);
    await leave(age_ms, more);
    await reaper().pass();
    expect(await statusOf(container)).toBe('running');
  });

  test('a folder that cannot be read is said once, and deadlines hold', async () => {
    const lines: string[] = [];
    const log = pino({ level: 'error' }, { write: (line) => lines.push(line) });
    const due = await runJob(now() - 8);
    const fine = await runJob(now() + 60);
    const fences = { read: () => Promise.reject(new Error('EACCES')) };
    const it = createReaper({ docker, fences, log, only: [OURS] });
    await it.pass();
    await it.pass();
    expect(lines).toHaveLength(1);
    await untilKilled(due);
    expect(await statusOf(fine)).toBe('running');
  });
});

test('an engine that is away is said once, and when it is back what is due is killed', async () => {
  const engine = await openCuttableEngine();
  const lines: Record<string, unknown>[] = [];
  const log = pino({ level: 'info' }, { write: (line) => lines.push(JSON.parse(line)) });
  const stop = new AbortController();
  let failed = 0;
  const real = createReaper({ docker: openEngine(engine.address), fences: undefined, log, only: [OURS] });
  const counted = {
    pass: () =>
      real.pass().catch((error) => {
        failed += 1;
        throw error;
      }),
  };
  await engine.cut();
  const reaping = keepReaping(counted, log, stop.signal);
  try {
    await vi.waitFor(() => expect(failed).toBeGreaterThanOrEqual(2), { timeout: 60_000 });
    expect(lines.map(({ msg }) => msg)).toEqual(['the engine does not answer; trying again']);
    const due = await runJob(now() - 8);
    await engine.heal();
    await untilKilled(due);
    await vi.waitFor(() => expect(lines.at(-1)?.msg).toBe('the engine answers again'), { timeout: 60_000 });
    expect(lines.map(({ level }) => level)).toEqual([40, 40, 30]);
  } finally {
    stop.abort();
    await reaping;
    await engine.close();
  }
});

describe('the program', () => {
  const start = (env: Record<string, string>): ChildProcess & { lines: string[] } => {
    const program = new URL('../dist/reaper-main.js', import.meta.url).pathname;
    const child = spawn(process.execPath, [program], { env: { PATH: process.env.PATH, ...env } });
    const lines: string[] = [];
    child.stdout.on('data', (data) => lines.push(...String(data).trim().split('\n')));
    return Object.assign(child, { lines });
  };

  test('needs no broker, says one line, and ends at once when told to, even while the engine does not answer', async () => {
    const child = start({ DOCKER_HOST: `unix://${join(dir, 'no-engine.sock')}`, BERTH_RUN_DIR: dir });
    const exit = once(child, 'exit');
    await vi.waitFor(() => expect(child.lines).toHaveLength(2), { timeout: 60_000 });
    expect(JSON.parse(child.lines[0] ?? '')).toMatchObject({ level: 30, service: 'reaper', msg: 'reaper ready' });
    expect(JSON.parse(child.lines[1] ?? '')).toMatchObject({ level: 40, service: 'reaper' });
    child.kill('SIGTERM');
    expect(await exit).toEqual([0, null]);
  });
});
